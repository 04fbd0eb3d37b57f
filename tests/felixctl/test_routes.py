"""`felixctl routes`: what each source wants and what the kernel holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from felix_py.status.status_json import to_json
from felix_py.status_model import RouteIssue, RouteNote, RoutesPage, RouteStatus
from felixctl.routes import summary
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Felixctl


def route(prefix: str, source: str, *hops: IpHop, protocol: int = 80, **more: Any) -> RouteStatus:
    way = IpRoute(Prefix.parse(prefix), "unicast" if hops else "blackhole", hops, protocol, 1030)
    return RouteStatus(way, source, best=True, in_fib=True, **more)


PEER = ("192.0.2.2",)
NOTE = RouteNote(RouteIssue.NEXT_HOP_UNREACHABLE, next_hops=("192.0.2.9",))
ROUTES = (
    route("10.65.1.7/32", "pods", IpHop("cali12ab")),
    route("10.65.2.0/26", "learned", IpHop("eth0", "192.0.2.2"), protocol=81, peers=(*PEER, "192.0.2.8")),
    RouteStatus(IpRoute(Prefix.parse("10.65.3.0/26"), protocol=81, metric=1030), "learned", False, False, PEER, NOTE),
    route("10.65.1.0/26", "blocks"),
)


def test_a_route_names_its_source_its_peers_and_whether_the_kernel_holds_it(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES)))):
        ended = felixctl("routes", "--run-dir", str(tmp_path))
    lines = [line.split() for line in ended.out.splitlines() if line]
    assert lines[0] == ["PREFIX", "SOURCE", "FIB", "ROUTE", "FROM", "NOTE"]
    assert lines[1][:6] == ["10.65.1.7/32", "pods", "yes", "dev", "cali12ab", "proto"]
    assert lines[2][:5] == ["10.65.2.0/26", "learned", "yes", "via", "192.0.2.2"]
    assert lines[2][-2:] == ["192.0.2.2,", "192.0.2.8"]
    assert lines[3][-6:] == ["next", "hop", "192.0.2.9", "is", "not", "reachable"]
    assert lines[4][:4] == ["10.65.1.0/26", "blocks", "yes", "blackhole"]


@pytest.mark.parametrize(
    ("arguments", "prefixes"),
    [
        ((), ["10.65.1.7/32", "10.65.2.0/26", "10.65.3.0/26", "10.65.1.0/26"]),
        (("--missing",), ["10.65.3.0/26"]),
        (("-s", "pods"), ["10.65.1.7/32"]),
        (("-s", "none"), ["10.65.9.0/26"]),
    ],
)
def test_routes_can_be_chosen(
    felixctl: Felixctl, tmp_path: Path, arguments: tuple[str, ...], prefixes: list[str]
) -> None:
    shown = (*ROUTES, route("10.65.9.0/26", "")) if "none" in arguments else ROUTES
    with agent(tmp_path, answered(to_json(RoutesPage(shown)))):
        ended = felixctl("routes", *arguments, "-o", "json", "--run-dir", str(tmp_path))
    assert [row["prefix"] for row in json.loads(ended.out)] == prefixes


def test_a_source_that_there_is_not_is_refused(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES)))):
        ended = felixctl("routes", "-s", "pod", "--run-dir", str(tmp_path))
    assert (ended.status, ended.out) == (2, "")
    assert "routes -s pod: that is no source; use one of pods, tunnels, static, learned, blocks, none" in ended.err


def test_the_agent_is_asked_for_the_routes_of_a_prefix(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES[:1])))) as requests:
        felixctl("routes", "10.65.1.7", "--run-dir", str(tmp_path))
    assert requests[0].startswith(b"GET /routes?prefix=10.65.1.7/32 ")


def test_a_route_as_json_has_its_attributes_and_note_as_text(felixctl: Felixctl, tmp_path: Path) -> None:
    with agent(tmp_path, answered(to_json(RoutesPage(ROUTES[2:3])))):
        ended = felixctl("routes", "-o", "json", "--run-dir", str(tmp_path))
    assert json.loads(ended.out) == [
        {
            "prefix": "10.65.3.0/26",
            "source": "learned",
            "route": "proto 81 metric 1030",
            "in_fib": False,
            "peers": ["192.0.2.2"],
            "note": "next hop 192.0.2.9 is not reachable",
        }
    ]


def test_the_summary_counts_by_source() -> None:
    assert summary(ROUTES) == "4 routes: 1 pods, 2 learned, 1 blocks; 1 not in the kernel"


def test_on_a_terminal_routes_are_boxed_without_columns_that_are_empty(
    felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("felixctl.routes.is_terminal", lambda: True)
    for routes, extra in ((ROUTES, ["FROM", "NOTE"]), (ROUTES[:1], [])):
        with agent(tmp_path, answered(to_json(RoutesPage(routes)))):
            lines = felixctl("routes", "--run-dir", str(tmp_path)).out.splitlines()
        (tmp_path / "status.sock").unlink()
        assert [cell.strip() for cell in lines[1].split("│")[1:-1]] == ["PREFIX", "SOURCE", "FIB", "ROUTE", *extra]
