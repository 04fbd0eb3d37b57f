from __future__ import annotations

from controller.metrics import exposition
from controller.report import Report, Work


def test_the_metrics_say_who_leads() -> None:
    assert b"felix_controller_leading 1.0" in exposition(lambda: Report(True, "me", 1.0))
    assert b"felix_controller_leading 0.0" in exposition(lambda: Report(False, "other", 1.0))


def test_the_metrics_say_what_was_done_and_what_holds_it_up() -> None:
    work = Work(addresses=3, held=("locked",), last_round=7.0)
    text = exposition(lambda: Report(True, "me", 1.0, work)).decode()
    for line in (
        "felix_controller_held 1.0",
        "felix_controller_last_round_seconds 7.0",
        "felix_controller_released_addresses_total 3.0",
        "felix_controller_released_blocks_total 0.0",
    ):
        assert line in text.splitlines()
