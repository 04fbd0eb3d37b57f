"""The report: a page for a person, the numbers for a machine."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from felix_py.status_json import to_json
from felix_py.status_model import RouteStatus
from lab.report import show
from lab.verdict import faults, run_numbers
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix


def picture() -> dict[str, Any]:
    pod, block = Prefix.parse("10.65.0.1/32"), Prefix.parse("10.65.0.0/26")
    routes = (
        RouteStatus(
            IpRoute(pod, hops=(IpHop("cali1"),), protocol=80, metric=1030, link_scope=True),
            "pods",
            best=True,
            in_fib=True,
        ),
        RouteStatus(IpRoute(block, "blackhole", protocol=80, metric=1030), "blocks", best=True, in_fib=True),
    )
    return {
        "name": "two",
        "nodes": [
            {
                "name": name,
                "addresses": ["192.0.2.1"],
                "as_number": 64512,
                "blocks": ["10.65.0.0/26"],
                "ready": True,
                "peers": [{"address": "192.0.2.9", "kind": "mesh", "state": "up", "since": 1.0, "info": "Established"}],
                "routes": to_json(routes),
            }
            for name in ("n1", "n2")
        ],
        "pods": [{"name": f"n{i}-1", "node": f"n{i}", "addresses": [f"10.65.0.{i}"]} for i in (1, 2)],
        "refused": {"expected": {}, "pods": []},
        "sessions": {"expected": 2, "established": 2},
        "matrix": {"n1-1": {"n2-1": 0.25}, "n2-1": {"n1-1": 0.5}},
        "pings": {"sent": 2, "lost": 0},
        "seconds": {"up": 1.0, "established": 2.0, "reachable": 2.5, "total": 3.0},
        "invariants": {"checked": 8, "violated": []},
        "troubles": [],
    }


def page(shown: dict[str, Any], left: list[str]) -> str:
    console = Console(width=110, record=True, file=io.StringIO())
    show(console, shown, run_numbers(shown, left))
    return console.export_text()


def test_the_numbers_are_exactly_those_that_machines_expect() -> None:
    assert run_numbers(picture(), []) == {
        "nodes": 2,
        "pods": 2,
        "sessions": {"expected": 2, "established": 2},
        "pings": {"sent": 2, "lost": 0},
        "seconds": {"up": 1.0, "established": 2.0, "reachable": 2.5, "total": 3.0},
        "invariants": {"checked": 8, "violated": []},
        "leftovers": [],
    }


def test_a_good_run_has_no_faults_and_says_so() -> None:
    assert faults(run_numbers(picture(), [])) == []
    text = page(picture(), [])
    assert "every pod reaches every other" in text
    assert "10.65.0.1/32 dev cali1 proto 80 metric 1030 scope link" in text
    assert "own block: unused addresses" in text


def test_every_kind_of_fault_is_a_sentence() -> None:
    bad = picture() | {
        "sessions": {"expected": 2, "established": 1},
        "pings": {"sent": 2, "lost": 1},
        "matrix": {"n1-1": {}, "n2-1": {"n1-1": 0.5}},
        "seconds": {"up": 1.0},
        "invariants": {"checked": 8, "violated": ["n1: 7. a blackhole is a pod's address"]},
    }
    text = page(bad, ["link cali1"])
    for sentence in (
        "only 1 of 2 sessions are up",
        "1 of 2 pings were lost",
        "the pods did not all reach one another in time",
        "invariant violated on n1: 7. a blackhole is a pod's address",
        "left behind: link cali1",
        "lost",
    ):
        assert sentence in text


def test_a_large_matrix_is_summed_up_by_node() -> None:
    names = [f"n{i % 2 + 1}-{i}" for i in range(100)]
    pods = [{"name": name, "node": name[:2], "addresses": ["10.65.0.1"]} for name in names]
    matrix = {name: {other: 0.1 for other in names if other != name} for name in names}
    text = page(picture() | {"matrix": matrix, "pods": pods}, [])
    assert text.count("4950/4950") == 2
    assert text.count("and 26 more") == 2


def test_many_routes_of_one_source_do_not_hide_those_of_another() -> None:
    shown = picture()
    shown["nodes"][0]["routes"] = shown["nodes"][0]["routes"][:1] * 100 + shown["nodes"][0]["routes"][1:]
    text = page(shown, [])
    assert "and 76 more" in text
    assert text.count("blackhole 10.65.0.0/26") == 2


def refused(expected: int) -> dict[str, Any]:
    pod = {"name": "n2-9", "node": "n2", "code": 101, "error": "strictAffinity forbids borrowing"}
    return picture() | {"refused": {"expected": {"n2": expected}, "pods": [pod]}}


def test_pods_refused_as_expected_are_no_fault_and_are_shown_with_their_error() -> None:
    assert run_numbers(refused(1), [])["refused"] == {"n2": {"expected": 1, "refused": 1}}
    text = page(refused(1), [])
    assert "strictAffinity forbids borrowing" in text
    assert "every pod reaches every other; 1 pod refused, as expected" in text


def test_more_or_fewer_refused_pods_than_expected_are_a_fault() -> None:
    assert faults(run_numbers(refused(2), [])) == ["pods refused on n2: 1, while the spec expects 2"]
