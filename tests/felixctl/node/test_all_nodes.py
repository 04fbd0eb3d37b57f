"""The text of `node status --all`: counts first, then whatever is wrong."""

from __future__ import annotations

from msgspec.structs import replace

from datastore.kinds.lease import Lease
from datastore.notices import Notice
from felix_py.status_model import NodeSummary
from felixctl.errors import MOST_SENTENCES
from felixctl.leader import Leader
from felixctl.node.all_nodes import AllNodes, as_json, report

LED = Leader(
    "kube-system",
    Lease.make("felix-py-controller", "kube-system", holder="c-1_2", acquire_time="2026-01-02T15:04:05.000006Z"),
    renewed=True,
)
LEADS = f"{LED.sentence}."
SOUND = NodeSummary("n1", "1.0", ready=True, pods=3, blocks=1, sessions=2, sessions_up=2)
NOTICE = Notice("BGPPeer", "x", "spec.filters", "it is not supported", "the session is held back")
DOWN = "the BGP session with 192.0.2.3 is not up (Active)"


def text(found: AllNodes) -> str:
    return "".join(report(found))


def test_a_sound_cluster_is_its_counts_and_a_table() -> None:
    assert text(AllNodes(LED, [replace(SOUND, node="n2"), SOUND])).splitlines() == [
        "2 nodes: 2 answered, 2 are ready, on 0 something is wrong.",
        "4 sessions: 4 up, 0 down, 0 held back.",
        "6 pods, 2 blocks.",
        "felix-py 1.0 on 2.",
        LEADS,
        "",
        "NODE   READY   SESSIONS   PODS   BLOCKS   VERSION   ",
        "n1     yes     2/2        3      1        1.0       ",
        "n2     yes     2/2        3      1        1.0       ",
        "",
    ]


def test_of_thousands_only_those_with_something_wrong_are_shown() -> None:
    nodes = [replace(SOUND, node=f"n{number}") for number in range(5000)]
    nodes[17] = replace(
        SOUND, node="n17", ready=False, sessions=30, sessions_held_back=1, problems=(DOWN,), problem_count=28
    )
    assert text(AllNodes(LED, nodes, {"n5001": "no answer within 10 s"})).splitlines() == [
        "5,001 nodes: 5,000 answered, 4,999 are ready, on 1 something is wrong.",
        "10,028 sessions: 10,000 up, 27 down, 1 held back.",
        "15,000 pods, 5,000 blocks.",
        "felix-py 1.0 on 5,000.",
        LEADS,
        "",
        "Could not be asked:",
        "  n5001: no answer within 10 s",
        "",
        "Wrong:",
        f"  n17: {DOWN}",
        "  n17: and 27 more: felixctl node status --node n17",
        "",
    ]


def test_a_reason_and_a_notice_stand_once_with_the_nodes_that_have_it() -> None:
    nodes = [replace(SOUND, node=f"n{n}", notices=(NOTICE,), notice_count=3) for n in range(7)]
    found = text(AllNodes(LED, nodes, dict.fromkeys(("m1", "m2"), "it is away") | {"m3": "refused"}))
    assert f"  {NOTICE} (on n0, n1, n2, n3, n4 and 2 more)\n" in found
    assert "  and 14 more: felixctl node status --node NODE\n" in found
    assert "  m1, m2: it is away\n  m3: refused\n" in found


def test_what_is_wrong_everywhere_is_not_printed_without_end() -> None:
    found = text(AllNodes(LED, [replace(SOUND, node=f"n{n}", problems=(DOWN,), problem_count=1) for n in range(1000)]))
    assert f"  and {1000 - MOST_SENTENCES} more of the kind\n" in found


def test_nothing_of_a_node_commands_a_terminal() -> None:
    found = text(AllNodes(LED, [replace(SOUND, version="1\n2")], {"m\n1": "why\nnot"}))
    assert "1\n2" not in found and "m\n1" not in found and "why\nnot" not in found


def test_without_an_answer_no_version_is_made_up() -> None:
    assert "felix-py " not in text(AllNodes(LED, [], {"n1": "it is away"}))


def test_programs_get_all_of_it() -> None:
    odd = replace(SOUND, node="n2", sessions=3, problems=(DOWN,), problem_count=1, notices=(NOTICE,), notice_count=1)
    found = as_json(AllNodes(LED, [SOUND, odd], {"n3": "it is away"}))
    assert found["counts"] == {
        "nodes": 3, "answered": 2, "ready": 2, "wrong": 1, "sessions": 5, "sessions_up": 4, "sessions_held_back": 0,
        "pods": 6, "blocks": 2,
    }  # fmt: skip
    assert found["controller"] == {
        "acts": True, "name": "c-1", "since": "2026-01-02T15:04:05.000006Z", "says": LEADS.removesuffix("."),
    }  # fmt: skip
    assert [(one["node"], one["problems"]) for one in found["nodes"]] == [("n1", []), ("n2", [DOWN])]
    assert found["unasked"] == [{"node": "n3", "reason": "it is away"}]
