"""Two nodes that are as they should be, to change one thing of.

a ── n1 (192.0.2.1) ──── n2 (192.0.2.2) ── b
10.65.1.1                              10.65.2.1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from explain.ends import ends_of
from explain.facts import ClusterFacts, Leg
from explain.records import Assigned, BlockRecord, ClusterRecords, PodRecord, PoolRecord
from explain.step import Step, Verdict
from explain.why import explain
from felix_py.status_model import DeviceFacts, KernelFacts, NodeTrace, PodFacts, RouteStatus, SessionStatus
from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix

A, B = "10.65.1.1", "10.65.2.1"
FORWARDS = {"4": True, "6": True}


def route(prefix: str, device: str = "", gateway: str = "", protocol: int = 0, kind: str = "unicast") -> IpRoute:
    return IpRoute(Prefix.parse(prefix), kind, (IpHop(device, gateway),) if device else (), protocol)


DEFAULT = route("0.0.0.0/0", "eth0", "192.0.2.254")


def block(number: int, assigned: dict[str, Assigned]) -> BlockRecord:
    return BlockRecord(Prefix.parse(f"10.65.{number}.0/26"), f"n{number}", True, assigned)


RECORDS = ClusterRecords(
    (PodRecord("default", "a", "n1", "cali1", (A,)), PodRecord("default", "b", "n2", "cali2", (B,))),
    (
        block(1, {A: Assigned("h1", "default/a")}),
        block(2, {B: Assigned("h2", "default/b"), "10.65.2.7": Assigned("h3", "default/gone")}),
    ),
    (PoolRecord("pods", Prefix.parse("10.65.0.0/16")),),
    {"n1": ("192.0.2.1",), "n2": ("192.0.2.2",)},
)


def hole(number: int) -> RouteStatus:
    blackhole = route(f"10.65.{number}.0/26", protocol=80, kind="blackhole")
    return RouteStatus(blackhole, "blocks", best=True, in_fib=True)


def node_trace(own: int, other: int) -> NodeTrace:
    here, there, neighbour = f"10.65.{own}.1", f"10.65.{other}.1", f"192.0.2.{other}"
    local = RouteStatus(route(f"{here}/32", f"cali{own}", protocol=80), "pods", best=True, in_fib=True)
    learned = RouteStatus(
        route(f"10.65.{other}.0/26", "eth0", neighbour, protocol=81), "learned", True, True, peers=(neighbour,)
    )
    return NodeTrace(
        f"n{own}",
        KernelFacts(
            {here: local.route, there: learned.route},
            (
                DeviceFacts("eth0", kind="veth", addresses=(f"192.0.2.{own}",), forwarding=FORWARDS),
                DeviceFacts(f"cali{own}", kind="veth", forwarding=FORWARDS),
            ),
            {here: PodFacts(DeviceFacts("eth0"), route("0.0.0.0/0", "eth0", "169.254.1.1"))},
        ),
        {here: (local, hole(own)), there: (learned,)},
        announced=(Prefix.parse(f"10.65.{own}.0/26"),),
        as_number=64512,
        peers=(SessionStatus(neighbour, "mesh", "up", 1795381700.0, "Established", as_number=64512),),
    )


def with_device(trace: NodeTrace, name: str, **changes: Any) -> NodeTrace:
    devices = tuple(replace(one, **changes) if one.name == name else one for one in trace.kernel.devices)
    return replace(trace, kernel=replace(trace.kernel, devices=devices))


def plus_device(trace: NodeTrace, device: DeviceFacts) -> NodeTrace:
    return replace(trace, kernel=replace(trace.kernel, devices=(*trace.kernel.devices, device)))


def with_route(
    trace: NodeTrace, address: str, taken: IpRoute | None, wanted: Sequence[RouteStatus], **more: Any
) -> NodeTrace:
    """Change what the kernel does with packets for an address, and what the agent wants for it."""
    kernel = replace(trace.kernel, routes={**trace.kernel.routes, address: taken})
    return replace(trace, kernel=kernel, wanted={**trace.wanted, address: tuple(wanted)}, **more)


class TwoNodes(Struct):
    """unseen: nodes whose agent does not answer."""

    n1: NodeTrace = field(default_factory=lambda: node_trace(1, 2))
    n2: NodeTrace = field(default_factory=lambda: node_trace(2, 1))
    records: ClusterRecords = RECORDS
    unseen: tuple[str, ...] = ()

    @property
    def facts(self) -> ClusterFacts:
        traces = {trace.node: trace for trace in (self.n1, self.n2) if trace.node not in self.unseen}
        return ClusterFacts(self.records, traces, dict.fromkeys(self.unseen, "its agent does not answer"))

    @property
    def learned(self) -> RouteStatus:
        """The route to b that n1 has learned."""
        return self.n1.wanted[B][0]

    def leg(self, start: str = "a", goal: str = "b") -> Leg:
        return Leg(self.facts, "there", *ends_of(self.records, start, goal))

    def explained(self, one: str = "a", other: str = "b") -> tuple[tuple[Step, ...], Verdict]:
        return explain(self.facts, *ends_of(self.records, one, other))

    def first(self, one: str = "a", other: str = "b") -> tuple[str, str, str]:
        """Return where, about and text of the step that decides the verdict."""
        _, verdict = self.explained(one, other)
        assert verdict.first is not None, verdict.sentence
        return verdict.first.where, verdict.first.about, verdict.first.text

    def n1_sends_b(self, taken: IpRoute | None, wanted: Sequence[RouteStatus] = (), **more: Any) -> TwoNodes:
        """Change what n1 does with packets for b."""
        return replace(self, n1=with_route(self.n1, B, taken, wanted, **more))

    def device_of_n2(self, name: str, **changes: Any) -> TwoNodes:
        return replace(self, n2=with_device(self.n2, name, **changes))


def about(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return [(step.where, step.about) for step in steps]
