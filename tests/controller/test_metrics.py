from __future__ import annotations

from controller.metrics import exposition
from controller.report import Report


def test_the_metrics_say_who_leads() -> None:
    assert b"felix_controller_leading 1.0" in exposition(lambda: Report(True, "me", 1.0))
    assert b"felix_controller_leading 0.0" in exposition(lambda: Report(False, "other", 1.0))
