"""What of a node's status is looked at first."""

from __future__ import annotations

import json

from datastore.notices import Notice
from felix_py.status.status_json import from_json, to_json
from felix_py.status.status_summary import MOST_LISTED, summary_of
from felix_py.status_model import (
    AgentProgress,
    AgentStatus,
    BrokenInvariant,
    HostIssue,
    HostWarning,
    InvariantReport,
    NodeSummary,
    PodStatus,
    SessionStatus,
    SidecarStatus,
)
from net.prefix import Prefix

READY = AgentProgress(fib_read=True, datastore_in_sync=True, first_write=True)
ANSWERS = SidecarStatus(connected=True)


def test_a_sound_node_is_its_counts() -> None:
    status = AgentStatus(
        "n1",
        "1.0",
        ready=True,
        progress=READY,
        blocks=(Prefix.parse("10.65.1.0/26"),),
        pods=(PodStatus("default", "web", "cali1"), PodStatus("default", "db", "cali2")),
        peers=(SessionStatus("192.0.2.2", "mesh", "up"),),
        sidecar=ANSWERS,
    )
    assert summary_of(status) == NodeSummary("n1", "1.0", True, pods=2, blocks=1, sessions=1, sessions_up=1)


def test_what_is_wrong_is_in_it_and_what_is_not_obeyed_apart() -> None:
    notice = Notice("BGPPeer", "x", "spec.filters", "why", "what")
    status = AgentStatus(
        "n1",
        progress=AgentProgress(in_the_way=(HostWarning(HostIssue.PODS_FILTERED, "a filter drops packets"),)),
        peers=(
            SessionStatus("192.0.2.2", "mesh", "start", info="Active"),
            SessionStatus("192.0.2.3", "node", "held back", info="a filter"),
        ),
        sidecar=ANSWERS,
        notices=(notice,),
    )
    found = summary_of(status)
    assert (found.ready, found.sessions, found.sessions_up, found.sessions_held_back) == (False, 2, 0, 1)
    assert found.problem_count == len(found.problems) == 4
    for text in ("no pod can be attached: ", "192.0.2.2 is not up", "192.0.2.3 is held back", "a filter drops packets"):
        assert any(text in problem for problem in found.problems), text
    assert (found.notices, found.notice_count) == ((notice,), 1)
    assert from_json(NodeSummary, to_json(found)) == found


def test_it_is_small_however_large_the_node_is() -> None:
    many = 5000
    status = AgentStatus(
        "n1",
        progress=READY,
        peers=tuple(SessionStatus(f"10.0.{n // 250}.{n % 250}", "mesh", "start") for n in range(many)),
        notices=tuple(Notice("BGPPeer", f"p{n}", "", "why", "what") for n in range(many)),
        invariants=InvariantReport(8, (BrokenInvariant(4, "no route"),) * many),
        sidecar=ANSWERS,
    )
    found = summary_of(status)
    assert (found.sessions, len(found.problems), len(found.notices)) == (many, MOST_LISTED, MOST_LISTED)
    assert found.problem_count > many and found.notice_count == many
    assert len(json.dumps(to_json(found))) < 10_000
