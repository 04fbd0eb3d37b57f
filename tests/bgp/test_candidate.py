"""A session that must not come up, as it is reported."""

from __future__ import annotations

from bgp.candidate import Candidate
from bgp.speaker import HeldBackSession, Neighbour


def test_a_session_that_must_not_come_up_is_reported_with_its_reason() -> None:
    session = Neighbour("192.0.2.9", "192.0.2.1", 65001, 64512, kind="global")
    made = Candidate(session, None, "BGP filters are not implemented").as_held_back()
    assert made == HeldBackSession("192.0.2.9", 65001, "global", "BGP filters are not implemented")
