"""Do the packet filters of a node or a pod let the packet pass, and the BGP session that its route comes from?

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from explain.facts import Leg
from explain.records import PodRecord
from explain.step import Command, Step, StepState
from felix_py.status_model import Filtered, FilteredTraffic, KernelFacts, NodeTrace, PodFacts
from net.packet_filter import FilterHit
from net.prefix import Prefix

MOST_DOUBTS = 3  # of one node that are shown


def filtered_packets(leg: Leg, trace: NodeTrace) -> Iterator[Step]:
    """Yield what the packet filters of a node drop of the packets between the two, and what could not be read."""
    effect = "they are lost on this node, though its routes are right"
    yield from _of_place(leg, _Place(trace.node, trace.node, effect), trace.kernel)
    yield from _redirected(leg, trace)
    yield from _untracked(leg, trace)
    if trace.table_problem:
        inspect = Command(trace.node, "nft list table inet felix")
        yield leg.step(trace.node, "filter", StepState.DOUBTFUL, trace.table_problem, inspect=inspect)


def filtered_in_pod(leg: Leg, pod: PodRecord, seen: PodFacts) -> Iterator[Step]:
    """Yield what packet filters in a pod drop of the packets between the two, and what could not be read."""
    yield from _of_place(leg, _Place(pod.title, pod.pod, "they are lost in the pod itself"), seen)


class _Place(NamedTuple):
    """Whose filters: as a step names it, and as a command does. effect: of what they drop."""

    where: str
    shell: str
    effect: str


def _of_place(leg: Leg, place: _Place, facts: KernelFacts | PodFacts) -> Iterator[Step]:
    ends = leg.start.address, leg.goal.address
    for one in facts.filtered:
        if (one.source, one.destination) == ends and one.traffic is not FilteredTraffic.BGP:
            yield from _filtered(leg, place, one)
    for sentence in facts.unread:
        text = f"what its packet filters do is not known: {sentence}"
        yield leg.step(place.where, "filter", StepState.UNSEEN, text)


def _filtered(leg: Leg, place: _Place, found: Filtered) -> Iterator[Step]:
    outcome = found.outcome
    what = f"packets from {leg.start.title} to {leg.goal.title}"
    if found.traffic is FilteredTraffic.TUNNEL:
        what = f"the tunnel's packets that carry {what}"
    if outcome.dropped:
        but = ", but for those that a rule before it accepts" if outcome.partly else ""
        text = f"a packet filter drops {what}{but}: {outcome.dropped}"
        repair = _let_pass(leg, outcome.dropped, found.traffic)
        inspect, cure = Command(place.shell, outcome.dropped.shown_by), Command(place.shell, repair)
        yield leg.step(place.where, "filter", StepState.BROKEN, text, place.effect, inspect, cure)
    for hit in outcome.doubts[:MOST_DOUBTS]:
        text = f"a packet filter may drop some of {what}: {hit}"
        inspect = Command(place.shell, hit.shown_by)
        yield leg.step(place.where, "filter", StepState.DOUBTFUL, text, inspect=inspect)


def _redirected(leg: Leg, trace: NodeTrace) -> Iterator[Step]:
    """Yield what on a node gives packets that begin a connection another destination, or may."""
    what = f"packets from {leg.start.title} to {leg.goal.title}"
    for one in trace.kernel.redirected:
        if (one.source, one.destination) != (leg.start.address, leg.goal.address):
            continue
        if hit := one.outcome.dropped:
            but = ", but for those that a rule before it accepts" if one.outcome.partly else ""
            text = f"address translation gives {what}{but} another destination: {hit}"
            effect = f"they go there, and not to {leg.goal.title}"
            repair = Command(trace.node, _let_pass(leg, hit, one.traffic))
            inspect = Command(trace.node, hit.shown_by)
            yield leg.step(trace.node, "translation", StepState.BROKEN, text, effect, inspect, repair)
        for hit in one.outcome.doubts[:MOST_DOUBTS]:
            text = f"address translation gives some of {what} another destination: {hit}"
            inspect = Command(trace.node, hit.shown_by)
            yield leg.step(trace.node, "translation", StepState.DOUBTFUL, text, inspect=inspect)


def _let_pass(leg: Leg, hit: FilterHit, traffic: FilteredTraffic) -> str:
    if traffic is FilteredTraffic.TUNNEL:
        return hit.accept("meta l4proto 4", iptables="-p 4")
    source, destination = _network(leg, leg.start.address), _network(leg, leg.goal.address)
    family = "ip6" if leg.goal.version == 6 else "ip"
    return hit.accept(f"{family} saddr {source} {family} daddr {destination}", iptables=f"-s {source} -d {destination}")


def _network(leg: Leg, address: str) -> str:
    """Return the pool of an address, so that what repairs one pair repairs all; else the address."""
    pool = leg.facts.records.pool_of(address)
    return str(pool.prefix if pool else Prefix.host(address))


def _untracked(leg: Leg, trace: NodeTrace) -> Iterator[Step]:
    """Yield a break where the table of tracked connections is full: the kernel drops what would begin another."""
    found, most = trace.kernel.connections, trace.kernel.most_connections
    if most and found >= most:
        switch = "net.netfilter.nf_conntrack_max"
        text = f"the node tracks {found} connections, and no more fit ({switch} is {most})"
        inspect, repair = (Command(trace.node, line) for line in (f"sysctl {switch}", f"sysctl -w {switch}={2 * most}"))
        effect = "packets that begin a connection are dropped"
        yield leg.step(trace.node, "filter", StepState.BROKEN, text, effect, inspect, repair, partly=True)


def cut_off_session(leg: Leg, trace: NodeTrace, peer: str) -> Step | None:
    """Return whether a packet filter of this node cuts off its session with a peer; None if it does not."""
    for one in trace.kernel.filtered:
        hit = one.outcome.dropped
        if one.traffic is not FilteredTraffic.BGP or one.destination != peer or hit is None:
            continue
        text = f"a packet filter drops BGP (port {one.port}) with {peer}: {hit}"
        effect = "the session ends when its hold time is over, cannot come up again, and what was learned over it goes"
        repair = Command(trace.node, hit.accept_port(one.port))
        inspect = Command(trace.node, hit.shown_by)
        return leg.step(trace.node, "session", StepState.BROKEN, text, effect, inspect, repair)
    return None
