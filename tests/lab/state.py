"""The state of a small lab that is as it should be, as lab/state.py collects it."""

from __future__ import annotations

from msgspec.structs import replace

from felix_py.status_model import RouteStatus, SessionStatus
from lab.state_model import (
    InvariantCount,
    LabState,
    NodeState,
    PingCount,
    PodState,
    Refusals,
    RefusedPod,
    SessionCount,
)
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix


def lab_state() -> LabState:
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
    peer = SessionStatus("192.0.2.9", "mesh", "up", 1.0, "Established")
    return LabState(
        "two",
        tuple(NodeState(name, ("192.0.2.1",), 64512, (str(block),), True, (peer,), routes) for name in ("n1", "n2")),
        tuple(PodState(f"n{i}-1", f"n{i}", (f"10.65.0.{i}",)) for i in (1, 2)),
        sessions=SessionCount(2, 2),
        matrix={"n1-1": {"n2-1": 0.25}, "n2-1": {"n1-1": 0.5}},
        pings=PingCount(2, 0),
        seconds={"up": 1.0, "established": 2.0, "reachable": 2.5, "total": 3.0},
        invariants=InvariantCount(8),
    )


def lab_state_with_a_refusal(expected: int) -> LabState:
    pod = RefusedPod("n2-9", "n2", 101, "strictAffinity forbids borrowing")
    return replace(lab_state(), refused=Refusals({"n2": expected}, (pod,)))
