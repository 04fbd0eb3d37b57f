"""Values that are shown as sentences."""

from __future__ import annotations

import pytest

from felix_py.status_model import (
    AgentProgress,
    DeviceFacts,
    KernelFacts,
    RouteIssue,
    RouteNote,
    SessionStatus,
)

NOTES = {
    RouteIssue.NEXT_HOP_UNREACHABLE: "next hop 192.0.2.2, 192.0.2.3 is not reachable",
    RouteIssue.DEVICE_DOWN: "its device does not exist or is down",
    RouteIssue.TUNNEL_DOWN: "no such module",
    RouteIssue.WEAKER: "pods wins",
    RouteIssue.REFUSED: "the kernel refused it: no such module",
    RouteIssue.CONFLICTING: "a route of protocol 4 has our metric 7; it is left alone",
    RouteIssue.OVERRIDDEN: "a route of protocol 4 with metric 7 wins over it",
    RouteIssue.WAITS_FOR_PEERS: "no source wants this route; kept until every peer has sent its end-of-RIB",
    RouteIssue.WAITS_FOR_REMOVAL: "no source wants this route; kept until it is removed",
}


@pytest.mark.parametrize("issue", RouteIssue)
def test_every_issue_is_a_sentence(issue: RouteIssue) -> None:
    note = RouteNote(issue, ("192.0.2.2", "192.0.2.3"), "pods", protocol=4, metric=7, detail="no such module")
    assert str(note) == NOTES[issue]


def test_progress_names_what_is_missing_until_pods_may_be_attached() -> None:
    assert len(AgentProgress().missing) == 3
    assert AgentProgress(datastore_in_sync=True, first_write=True).missing == (
        "the kernel's routes have not been read",
    )
    assert AgentProgress(True, True, True).ready, "BGP is not waited for"
    assert not AgentProgress(True, False, True).ready
    unable = AgentProgress(True, True, True, attach_refused="the agent lacks CAP_NET_ADMIN")
    assert unable.missing == ("no pod's device can be made here: the agent lacks CAP_NET_ADMIN",)
    full = "install the conflist in /etc/cni/net.d: no space left on device"
    assert AgentProgress(True, True, True, not_installed=full).missing == (full,)


def test_a_session_is_up_held_back_or_neither() -> None:
    states = [(SessionStatus("192.0.2.2", state=state)) for state in ("up", "start", "held back")]
    assert [(one.is_up, one.is_held_back) for one in states] == [(True, False), (False, False), (False, True)]


def test_devices_are_found_by_name_and_by_address() -> None:
    eth0 = DeviceFacts("eth0", addresses=("192.0.2.1",))
    facts = KernelFacts(devices=(DeviceFacts("lo"), eth0))
    assert facts.device("eth0") == facts.device_with("192.0.2.1") == eth0
    assert facts.device("eth1") is facts.device_with("192.0.2.9") is None


def test_a_device_works_if_it_is_up_and_has_a_carrier() -> None:
    assert DeviceFacts("eth0").works
    assert not DeviceFacts("eth0", up=False).works and not DeviceFacts("eth0", carrier=False).works
