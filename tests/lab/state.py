"""The state of a small lab that is as it should be, as lab/state.py collects it."""

from __future__ import annotations

from typing import Any

from felix_py.status_json import to_json
from felix_py.status_model import RouteStatus
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix


def lab_state() -> dict[str, Any]:
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


def lab_state_with_a_refusal(expected: int) -> dict[str, Any]:
    pod = {"name": "n2-9", "node": "n2", "code": 101, "error": "strictAffinity forbids borrowing"}
    return lab_state() | {"refused": {"expected": {"n2": expected}, "pods": [pod]}}
