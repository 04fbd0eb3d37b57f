"""Faults of other programs that write routes: they delete and replace ours, add some beside them, flush whole tables.

An edge: each is a context in which the fault lasts; it yields what was done. Routes are named as `ip` prints them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.cluster import Cluster, FaultError
from faults.schedule import Fault

LOCAL, LEARNED, METRIC = "80", "81", "1030"
_NOBODYS = "203.0.113.0/24"  # TEST-NET-3 of RFC 5737: no pool and no subnet of the lab
_FLUSHED = (("proto", LOCAL), ("proto", LEARNED), ("table", "main"))


@asynccontextmanager
async def deleted(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Delete one of our routes: to the probing pod, to its block, to another node's block."""
    route = await _one_of_ours(cluster, fault)
    await cluster.run(fault.node, "ip", "route", "del", *route.split())
    yield f"ip route del {route}"


@asynccontextmanager
async def replaced(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Let one of our routes lead to nowhere."""
    route = await _one_of_ours(cluster, fault)
    new = (_destination(route), "dev", "lo", "metric", METRIC)
    await cluster.run(fault.node, "ip", "route", "replace", *new)
    yield f"ip route replace {' '.join(new)} (it was {route})"


@asynccontextmanager
async def added(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Add a route that is marked as ours and wanted by nobody, and one of another protocol, which has to stay."""
    ours = (f"10.65.250.{fault.choice % 256}", "dev", "lo", "proto", LOCAL, "metric", METRIC)
    theirs = (_NOBODYS, "dev", "lo", "proto", "static", "metric", METRIC)
    await cluster.run(fault.node, "ip", "route", "add", *theirs)
    await cluster.run(fault.node, "ip", "route", "add", *ours)
    yield f"ip route add {' '.join(ours)}; add {' '.join(theirs)}, del after {fault.seconds} s"
    await cluster.run(fault.node, "ip", "route", "del", *theirs)


@asynccontextmanager
async def shadowed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Add a route beside a learned one that wins, and leads to nowhere."""
    learned = await _routes(cluster, fault.node, "proto", LEARNED)
    better = (_destination(learned[fault.choice % len(learned)]), "dev", "lo", "proto", "static", "metric", "7")
    await cluster.run(fault.node, "ip", "route", "add", *better)
    yield f"ip route add {' '.join(better)}, del after {fault.seconds} s"
    await cluster.run(fault.node, "ip", "route", "del", *better)


@asynccontextmanager
async def flushed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Flush our routes, the learned ones, or all; then put back what was not ours, as a network manager would."""
    words = _FLUSHED[fault.choice % len(_FLUSHED)]
    async with foreign_routes_put_back(cluster, fault.node):
        await cluster.run(fault.node, "ip", "route", "flush", *words)
        yield f"ip route flush {' '.join(words)}, those of others back after {fault.seconds} s"


@asynccontextmanager
async def foreign_routes_put_back(cluster: Cluster, node: str) -> AsyncIterator[None]:
    """Put back in the end what the node had of others' routes before, those of the kernel first."""
    before = [route for route in await _routes(cluster, node) if not _is_ours(route)]
    yield
    there = await _routes(cluster, node)
    for route in sorted(before, key=lambda route: "proto kernel" not in route):
        if route not in there:
            await cluster.run(node, "ip", "route", "replace", *route.split())


async def _one_of_ours(cluster: Cluster, fault: Fault) -> str:
    """Return a route of ours that stays: not that of a pod that comes and goes. Raises FaultError."""
    lasting = {address for pod in cluster.pods for address in pod.addresses}
    ours = [*await _routes(cluster, fault.node, "proto", LOCAL), *await _routes(cluster, fault.node, "proto", LEARNED)]
    stay = sorted(route for route in ours if "/" in _destination(route) or _destination(route) in lasting)
    if not stay:
        raise FaultError(f"find a route of ours on {fault.node}: there is none")
    return stay[fault.choice % len(stay)]


async def _routes(cluster: Cluster, node: str, *words: str) -> list[str]:
    printed = await cluster.run(node, "ip", "-details", "route", "show", *words)
    return [" ".join(line.split()) for line in printed.splitlines() if line.strip()]


def _destination(route: str) -> str:
    """Return what a route leads to, as the second word of `ip -details`, after the type."""
    return route.split()[1]


def _is_ours(route: str) -> bool:
    return f"metric {METRIC}" in route and any(f"proto {protocol} " in route for protocol in (LOCAL, LEARNED))
