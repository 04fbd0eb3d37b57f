"""`node status` and `routes`: what the agent answers on its socket, as a person and a script read it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from felix_py.status_json import from_json, to_json
from felix_py.status_model import AgentStatus, RouteIssue, RouteNote, RoutesPage, RouteStatus
from felixctl.node import commands
from felixctl.routes import summary
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix
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


def route(prefix: str, source: str, *hops: IpHop, protocol: int = 80, **more: Any) -> RouteStatus:
    way = IpRoute(Prefix.parse(prefix), "unicast" if hops else "blackhole", hops, protocol, 1030)
    return RouteStatus(way, source, best=True, in_fib=True, **more)


UNREACHABLE = RouteNote(RouteIssue.NEXT_HOP_UNREACHABLE, next_hops=("192.0.2.9",))
ROUTES = (
    route("10.65.1.7/32", "pods", IpHop("cali12ab")),
    route("10.65.2.0/26", "learned", IpHop("eth0", "192.0.2.2"), protocol=81),
    RouteStatus(IpRoute(Prefix.parse("10.65.3.0/26"), protocol=81, metric=1030), "learned", note=UNREACHABLE),
    route("10.65.1.0/26", "blocks"),
)
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
    return commands.report(from_json(AgentStatus, {**STATUS, **more}), SINCE)


@contextmanager
def agent(run_dir: Path, answer: bytes) -> Iterator[list[bytes]]:
    """Answer one request on the status socket, as the agent would; yield a list that gets the request."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(run_dir / "status.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                requests.append(connection.recv(1 << 16))
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield requests
        thread.join(5)


def answered(status: object, line: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{line}\r\nContent-Type: application/json\r\n\r\n{json.dumps(status)}".encode()


def test_sessions_stand_in_calicos_columns(felixctl: Felixctl, tmp_path: Path) -> None:
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


def test_status_as_json_is_all_the_agent_says(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        ended = felixctl("node", "status", "-o", "json", "--run-dir", str(tmp_path))
    assert json.loads(ended.out) == STATUS


def test_an_ipv6_session_has_its_own_table() -> None:
    printed = report(peers=[peer("fd00::2", kind="global")])
    assert "No IPv4 peers found." in printed
    assert "| fd00::2      | global" in printed


def test_a_session_of_yesterday_shows_its_date() -> None:
    assert len(commands.since(SINCE, SINCE + 3600)) == len("21:08:20")
    assert commands.since(SINCE, SINCE + 3 * 24 * 3600).startswith("2026-11-2")
    assert commands.since(None, SINCE) == ""


def test_routes_refused_for_several_reasons_are_counted_together() -> None:
    printed = report(peers=[peer("192.0.2.2", refused={"own AS": 2, "default route": 1})])
    assert "| Established |       2 |         1 |       3 |" in printed


def test_stale_routes_of_a_peer_that_restarts_are_counted() -> None:
    assert "Connect; 7 routes stale" in report(peers=[peer("192.0.2.2", "start", stale=7)])


def test_problems_are_printed_as_sentences() -> None:
    printed = report(
        ready=False,
        sidecar={"connected": False, "problem": "no such socket"},
        invariants={"checked": 8, "violated": [{"number": 3, "text": "block 10.65.1.0/26 has two affinities"}]},
    )
    assert "It is not ready yet" in printed
    assert "Its BGP sidecar is away: no such socket." in printed
    assert "Violated: invariant 3, block 10.65.1.0/26 has two affinities" in printed


def test_each_route_names_its_source_and_whether_the_kernel_holds_it(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES)))):
        ended = felixctl("routes", "--run-dir", str(tmp_path))
    lines = [line.split() for line in ended.out.splitlines() if line]
    assert lines[0] == ["PREFIX", "SOURCE", "FIB", "ROUTE", "NOTE"]
    assert lines[1][:6] == ["10.65.1.7/32", "pods", "yes", "dev", "cali12ab", "proto"]
    assert lines[2][:5] == ["10.65.2.0/26", "learned", "yes", "via", "192.0.2.2"]
    assert lines[3][-6:] == ["next", "hop", "192.0.2.9", "is", "not", "reachable"]
    assert lines[4][:4] == ["10.65.1.0/26", "blocks", "yes", "blackhole"]


@pytest.mark.parametrize(
    ("arguments", "prefixes"),
    [
        ((), ["10.65.1.7/32", "10.65.2.0/26", "10.65.3.0/26", "10.65.1.0/26"]),
        (("--missing",), ["10.65.3.0/26"]),
        (("-s", "pods"), ["10.65.1.7/32"]),
    ],
)
def test_routes_can_be_chosen(
    felixctl: Felixctl, tmp_path: Path, arguments: tuple[str, ...], prefixes: list[str]
) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES)))):
        ended = felixctl("routes", *arguments, "-o", "json", "--run-dir", str(tmp_path))
    assert [row["prefix"] for row in json.loads(ended.out)] == prefixes


def test_the_agent_is_asked_for_the_routes_of_a_prefix(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES[:1])))) as requests:
        felixctl("routes", "10.65.1.7", "--run-dir", str(tmp_path))
    assert requests[0].startswith(b"GET /routes?prefix=10.65.1.7/32 ")


def test_a_route_as_json_has_its_way_and_note_as_text(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES[2:3])))):
        ended = felixctl("routes", "-o", "json", "--run-dir", str(tmp_path))
    assert json.loads(ended.out) == [
        {
            "prefix": "10.65.3.0/26",
            "source": "learned",
            "way": "proto 81 metric 1030",
            "in_fib": False,
            "note": "next hop 192.0.2.9 is not reachable",
        }
    ]


def test_the_summary_counts_by_source() -> None:
    assert summary(ROUTES) == "4 routes: 1 pods, 2 learned, 1 blocks; 1 not in the kernel"


def test_no_agent_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    for arguments in (["node", "status"], ["routes"]):
        ended = felixctl(*arguments, "--run-dir", str(tmp_path))
        assert (ended.status, ended.out) == (1, "")
        assert "no agent runs here" in ended.err


def test_an_agent_that_has_ended_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(tmp_path / "status.sock"))
    ended = felixctl("node", "status", "--run-dir", str(tmp_path))
    assert (ended.status, "the agent has ended" in ended.err) == (1, True)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 500 Oops\r\n\r\n", answered(["no", "object"]), b"HTTP/1.1 200 OK\r\n\r\nnot JSON"]
)
def test_an_answer_without_sense_is_a_sentence(felixctl: Felixctl, tmp_path: Path, answer: bytes) -> None:
    with agent(tmp_path, answer):
        ended = felixctl("node", "status", "--run-dir", str(tmp_path))
    assert (ended.status, ended.err.startswith("felixctl: read the agent's status at ")) == (1, True)


def test_what_the_sidecar_complains_of_is_said() -> None:
    problem = "listen on 192.0.2.1 port 179: address already in use"
    assert f"Its BGP sidecar says: {problem}." in report(sidecar={"connected": True, "problem": problem})
