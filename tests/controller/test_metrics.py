from __future__ import annotations

from controller.figures import Figures
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


def test_calicos_metrics_of_addresses_have_calicos_names() -> None:
    found = Figures({("pods", "n1"): 3}, {("pods", "n1"): 1}, {("pods", "n1"): 2}, {("pods", "n1"): 1}, {"pods": 256})
    work = Work(figures=found, reclaimed={("pods", "n1"): 5})
    text = exposition(lambda: Report(True, "me", 1.0, work)).decode()
    for line in (
        'ipam_allocations_in_use{ippool="pods",node="n1"} 3.0',
        'ipam_allocations_borrowed{ippool="pods",node="n1"} 1.0',
        'ipam_blocks{ippool="pods",node="n1"} 2.0',
        'ipam_allocations_gc_candidates{ippool="pods",node="n1"} 1.0',
        'ipam_allocations_gc_reclamations_total{ippool="pods",node="n1"} 5.0',
        'ipam_ippool_size{ippool="pods"} 256.0',
        'ipam_allocations_per_node{node="n1"} 3.0',
        'ipam_allocations_borrowed_per_node{node="n1"} 1.0',
        'ipam_blocks_per_node{node="n1"} 2.0',
    ):
        assert line in text.splitlines()
