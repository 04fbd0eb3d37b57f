"""What makes a host fail."""

from __future__ import annotations

from felixctl.node.findings import Availability, Finding


def test_a_finding_fails_where_every_node_needs_it_and_it_is_missing_or_wrong() -> None:
    failing = {one for one in Availability if Finding("x", one, "y", required=True).fails}
    assert failing == {Availability.MISSING, Availability.WRONG}
    assert not any(Finding("x", one, "y", required=False).fails for one in Availability)
