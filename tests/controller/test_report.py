from __future__ import annotations

from controller.report import Report, Work
from ipam.leaks import Collected


def test_a_controller_is_ready_while_it_hears_of_the_lease_whoever_leads() -> None:
    assert Report(False, "other", 1.0).missing == "" == Report(True, "me", 1.0).missing
    assert "yet" in Report(False, "", None).missing
    assert "for 31 s" in Report(False, "other", 31.0).missing


def test_it_says_who_leads() -> None:
    assert Report(True, "me", 1.0).role == "leading as me"
    assert Report(False, "other", 1.0).role == "standing by for other"
    assert Report(False, "", 1.0).role == "standing by"


def test_what_is_given_back_is_added_up() -> None:
    work = Work().after(Collected(handles=("a", "b"))).after(Collected(handles=("c",)))
    assert (work.addresses, work.handles, work.blocks) == (0, 3, 0)
