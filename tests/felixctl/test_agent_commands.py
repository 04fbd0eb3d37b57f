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

from felixctl.node import commands
from felixctl.routes import summary
from felixctl.status_client import peers_of, routes_of
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


def route(prefix: str, source: str, words: str, in_fib: bool = True, note: str = "") -> dict[str, Any]:
    return {"prefix": prefix, "source": source, "via": words, "best": True, "in_fib": in_fib, "note": note}


STATUS: dict[str, Any] = {
    "node": "n1",
    "version": "0.1.0",
    "as_number": 64512,
    "ready": True,
    "peers": [peer("192.0.2.3"), peer("192.0.2.2")],
    "sidecar": {"connected": True},
    "routes": [
        route("10.65.1.7/32", "pods", "10.65.1.7 dev cali12ab proto 80 metric 1030 scope link"),
        route("10.65.2.0/26", "learned", "10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"),
        route("10.65.3.0/26", "learned", "10.65.3.0/26", in_fib=False, note="next hop 192.0.2.9 is not reachable"),
        route("10.65.1.0/26", "blocks", "blackhole 10.65.1.0/26 proto 80 metric 1030"),
    ],
    "invariants": {"checked": 8, "violated": []},
}


@contextmanager
def agent(run_dir: Path, answer: bytes) -> Iterator[None]:
    """Answer one request on the status socket, as the agent would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(run_dir / "status.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
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
    report = commands.report({**STATUS, "peers": [peer("fd00::2", kind="global")]}, SINCE)
    assert "No IPv4 peers found." in report
    assert "| fd00::2      | global" in report


def test_a_session_of_yesterday_shows_its_date() -> None:
    assert len(commands.since(SINCE, SINCE + 3600)) == len("21:08:20")
    assert commands.since(SINCE, SINCE + 3 * 24 * 3600).startswith("2026-11-2")
    assert commands.since(None, SINCE) == ""


def test_routes_refused_for_several_reasons_are_counted_together() -> None:
    [found] = peers_of({"peers": [peer("192.0.2.2", refused={"own AS": 2, "default route": 1})]})
    assert found.refused == 3


def test_routes_kept_for_a_peer_that_restarts_are_told() -> None:
    report = commands.report({**STATUS, "peers": [peer("192.0.2.2", "start", stale=7)]}, SINCE)
    assert "Connect; 7 routes stale" in report


def test_trouble_is_said_in_sentences() -> None:
    report = commands.report(
        {
            **STATUS,
            "ready": False,
            "sidecar": {"connected": False, "problem": "no such socket"},
            "invariants": {"checked": 8, "violated": [{"number": 3, "text": "block 10.65.1.0/26 has two affinities"}]},
        },
        SINCE,
    )
    assert "It is not ready yet" in report
    assert "Its BGP sidecar is away: no such socket." in report
    assert "Violated: invariant 3, block 10.65.1.0/26 has two affinities" in report


def test_each_route_names_its_source_and_whether_the_kernel_holds_it(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        ended = felixctl("routes", "--run-dir", str(tmp_path))
    lines = [line.split() for line in ended.out.splitlines() if line]
    assert lines[0] == ["PREFIX", "SOURCE", "FIB", "ROUTE", "NOTE"]
    assert lines[1][:6] == ["10.65.1.7/32", "pods", "yes", "dev", "cali12ab", "proto"]
    assert lines[2][:5] == ["10.65.2.0/26", "learned", "yes", "via", "192.0.2.2"]
    assert lines[3] == ["10.65.3.0/26", "learned", "no", "next", "hop", "192.0.2.9", "is", "not", "reachable"]
    assert lines[4][:4] == ["10.65.1.0/26", "blocks", "yes", "blackhole"]


@pytest.mark.parametrize(
    ("arguments", "prefixes"),
    [
        (["10.65.1.7"], ["10.65.1.7/32", "10.65.1.0/26"]),
        (["10.65.0.0/16"], ["10.65.1.7/32", "10.65.2.0/26", "10.65.3.0/26", "10.65.1.0/26"]),
        (["--missing"], ["10.65.3.0/26"]),
        (["-s", "pods"], ["10.65.1.7/32"]),
    ],
)
def test_routes_can_be_chosen(felixctl: Felixctl, tmp_path: Path, arguments: list[str], prefixes: list[str]) -> None:
    with agent(tmp_path, answered(STATUS)):
        ended = felixctl("routes", *arguments, "-o", "json", "--run-dir", str(tmp_path))
    assert [row["prefix"] for row in json.loads(ended.out)] == prefixes


def test_the_summary_counts_by_source() -> None:
    assert summary(routes_of(STATUS)) == "4 routes: 1 pods, 2 learned, 1 blocks; 1 not in the kernel"


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
    report = commands.report({**STATUS, "sidecar": {"connected": True, "problem": problem}}, SINCE)
    assert f"Its BGP sidecar says: {problem}." in report
