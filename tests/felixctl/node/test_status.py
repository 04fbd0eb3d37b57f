"""`felixctl node status`: the agent, its sessions and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datastore.notices import Notice
from felix_py.status.status_json import from_json
from felix_py.status_model import AgentStatus
from felixctl.node import status
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed

SINCE = 1795381700.0


def peer(address: str, state: str = "up", **more: Any) -> dict[str, Any]:
    return {
        "address": address,
        "kind": "mesh",
        "state": state,
        "since": SINCE,
        "info": "Established" if state == "up" else "Connect",
        "learned": 2,
        "announced": 1,
        "refused": {},
        **more,
    }


STATUS: dict[str, Any] = {
    "node": "n1",
    "version": "0.1.0",
    "as_number": 64512,
    "ready": True,
    "peers": [peer("192.0.2.3"), peer("192.0.2.2")],
    "sidecar": {"connected": True},
    "routes": {"pods": 1, "learned": 2, "blocks": 1},
    "invariants": {"checked": 8, "violated": []},
}


def report(**more: Any) -> str:
    return "".join(status.report(from_json(AgentStatus, {**STATUS, **more}), SINCE))


def test_sessions_have_calicos_columns(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        ended = felixctl("node", "status", "--run-dir", str(tmp_path))
    assert ended.status == 0
    heading, first, second = (line for line in ended.out.splitlines() if line.startswith("| "))
    calicos = [line for line in printed("node/node-status.txt").splitlines() if line.startswith("| ")]
    for ours, theirs in zip((heading, first, second), calicos, strict=True):
        our_cells, their_cells = ([cell.strip() for cell in line.split("|")[1:6]] for line in (ours, theirs))
        our_cells[3] = their_cells[3]  # the time of day
        assert our_cells == their_cells
    assert "IPv6 BGP status\nNo IPv6 peers found." in ended.out
    assert "8 invariants hold." in ended.out


def test_status_as_json_is_the_agents_whole_status(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        ended = felixctl("node", "status", "-o", "json", "--run-dir", str(tmp_path))
    assert json.loads(ended.out) == STATUS


def test_an_ipv6_session_has_its_own_table() -> None:
    printed = report(peers=[peer("fd00::2", kind="global")])
    assert "No IPv4 peers found." in printed
    assert "| fd00::2      | global" in printed


def test_a_session_of_yesterday_shows_its_date() -> None:
    assert len(status.since(SINCE, SINCE + 3600)) == len("21:08:20")
    assert status.since(SINCE, SINCE + 3 * 24 * 3600).startswith("2026-11-2")
    assert status.since(None, SINCE) == ""


def test_a_peer_near_a_limit_is_named_with_the_annotation_that_sets_it() -> None:
    used, limits = {"paths": 15000, "next hops": 2}, {"paths": 20000, "next hops": 5000}
    printed = report(peers=[peer("192.0.2.2", used=used, limits=limits), peer("192.0.2.3")])
    assert (
        "Near a limit of the peer (annotation felix-py/prefix-limit):\n  192.0.2.2: 15000 of 20000 paths\n" in printed
    )
    assert "next hops" not in printed


def test_routes_refused_for_several_reasons_are_counted_together_and_each_is_named() -> None:
    printed = report(peers=[peer("192.0.2.2", refused={"own AS": 2, "default route": 1})])
    assert "| Established |       2 |         1 |       3 |" in printed
    assert "Routes refused from peers:\n  192.0.2.2: 1, default route\n  192.0.2.2: 2, own AS\n" in printed


def test_stale_routes_of_a_peer_that_restarts_are_counted() -> None:
    assert "Connect; 7 routes stale" in report(peers=[peer("192.0.2.2", "start", stale=7)])


def test_problems_are_printed_as_sentences() -> None:
    printed = report(
        ready=False,
        sidecar={"connected": False, "problem": "no such socket"},
        invariants={"checked": 8, "violated": [{"number": 3, "text": "block 10.65.1.0/26 has two affinities"}]},
    )
    assert "It is not ready, and no pod can be attached: the kernel's routes have not been read;" in printed
    assert "Its BGP sidecar does not answer: no such socket." in printed
    assert "The IPv6 sessions are not known." in printed and "No IPv6 peers found." not in printed
    assert "Violated: invariant 3, block 10.65.1.0/26 has two affinities" in printed


def test_a_node_that_is_not_ready_says_what_it_waits_for() -> None:
    progress = {"fib_read": True, "datastore_in_sync": True, "first_write": True, "identity": "n1 has no Node"}
    printed = report(ready=False, progress=progress)
    assert "It is not ready, and no pod can be attached: n1 has no Node.\n" in printed


def test_what_of_the_host_is_in_the_way_is_listed() -> None:
    issues = {"packets of pods dropped": "a packet filter drops", "another network first": "another comes first"}
    there = [{"issue": issue, "text": text} for issue, text in issues.items()]
    printed = report(progress={"in_the_way": there})
    assert "Problems of this host:\n  a packet filter drops\n  another comes first\n" in printed
    assert "Problems of this host" not in report()


def test_a_problem_of_the_sidecar_is_shown() -> None:
    problem = "listen on 192.0.2.1 port 179: address already in use"
    assert f"Its BGP sidecar reports: {problem}." in report(sidecar={"connected": True, "problem": problem})


def test_a_session_that_is_held_back_is_listed_with_the_reason() -> None:
    reason = "filters are not supported"
    printed = report(peers=[peer("192.0.2.2"), peer("192.0.2.9", "held back", info=reason)])
    assert f"Sessions held back:\n  192.0.2.9: {reason}\n" in printed
    assert "| held back |" in printed
    assert "held back" not in report()


def test_what_is_accepted_and_not_obeyed_is_listed_a_line_each() -> None:
    notice = Notice("IPPool", "default", "spec.natOutgoing", "not implemented", "packets keep their source")
    assert f"Accepted and not obeyed:\n  {notice}\n" in report(notices=[notice.to_json()])
    assert "obeyed" not in report()


def test_a_locked_datastore_is_told_beside_a_ready_agent() -> None:
    text = report(progress={"fib_read": True, "locked": "ClusterInformation default says datastoreReady false"})
    assert "The datastore is locked: ClusterInformation default says datastoreReady false." in text
    assert "locked" not in report()


def test_routes_that_the_kernel_refuses_are_told_with_the_reason() -> None:
    text = report(refused_routes={"10.65.1.7/32": "No such device (ENODEV)"})
    assert "Routes refused by the kernel:\n  10.65.1.7/32: No such device (ENODEV)\n" in text


def test_a_tunnel_that_is_not_as_pools_want_it_is_told_with_the_reason() -> None:
    tunnels = {"ipip": {"device": "tunl0", "problem": "bring up tunl0: this kernel has no IPIP"}}
    assert "want them:\n  tunl0: bring up tunl0: this kernel has no IPIP\n" in report(tunnels=tunnels)
    assert "tunl0" not in report(tunnels={"ipip": {"device": "tunl0", "up": True}})
