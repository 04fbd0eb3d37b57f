"""What the agent says about itself: health, readiness, metrics, and the whole picture for felixctl.

It reads the agent's state and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bgp.client import SidecarClient, SidecarError
from felix_py.agent import Agent
from felix_py.checks import Checks
from felix_py.kernel_facts import kernel_facts
from felix_py.rib import Source, candidates, is_resolved
from felix_py.tunnels import IPIP_DEVICE
from felix_py.web import Page, Pages, Query, text_page
from kernel.netlink import KernelError
from kernel.route import RouteSpec, ip_route_text
from net.prefix import Prefix, unpack


class Status:
    """The pages of one agent."""

    def __init__(self, agent: Agent, sidecar: SidecarClient, checks: Checks) -> None:
        self._agent, self._sidecar, self._checks = agent, sidecar, checks
        self._registry = CollectorRegistry()
        self._registry.register(AgentMetrics(agent, checks))

    def pages(self) -> Pages:
        return {
            "/healthz": self._health,
            "/liveness": self._health,
            "/readyz": self._readiness,
            "/readiness": self._readiness,
            "/metrics": self._metrics,
            "/status": self._status,
            "/invariants": self._invariants,
            "/trace": self._trace,
        }

    async def _health(self, query: Query) -> Page:
        return text_page(HTTPStatus.OK, "alive\n")  # whoever cannot answer this is restarted

    async def _readiness(self, query: Query) -> Page:
        progress = self._agent.progress
        waits = [
            text
            for done, text in (
                (progress.fib_read, "the kernel's routes have not been read"),
                (progress.datastore_in_sync, "the datastore is not in sync"),
                (progress.first_write, "the first routes are not written"),
            )
            if not done
        ]
        if waits:
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {'; '.join(waits)}\n")
        return text_page(HTTPStatus.OK, "ready\n")

    async def _metrics(self, query: Query) -> Page:
        return Page(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", generate_latest(self._registry))

    async def _status(self, query: Query) -> Page:
        return _json({**picture(self._agent), **await self._peers(), "invariants": self._checks.last_report()})

    async def _invariants(self, query: Query) -> Page:
        return _json(await self._checks.run())

    async def _trace(self, query: Query) -> Page:
        """What packets between two addresses meet on this node: `?to=ADDRESS&from=ADDRESS`, of one family."""
        try:
            to, from_ = (Prefix.host(query.get(key, "")) for key in ("to", "from"))
        except ValueError as error:
            return text_page(HTTPStatus.BAD_REQUEST, f"trace ?to=ADDRESS&from=ADDRESS: {error}\n")
        here = [pod for pod in self._agent.snapshot.endpoints.values() if {to, from_}.intersection(pod.addresses)]
        pods = {end.packed: pod.device for pod in here for end in (to, from_) if end in pod.addresses}
        try:
            kernel = await asyncio.to_thread(kernel_facts, to.packed, from_.packed, pods)
        except KernelError as error:
            return text_page(HTTPStatus.SERVICE_UNAVAILABLE, f"trace {from_.address} to {to.address}: {error}\n")
        return _json({**kernel, **routing_facts(self._agent, to, from_), **await self._peers()})

    async def _peers(self) -> dict[str, Any]:
        try:
            told = await self._sidecar.status()
        except SidecarError as error:
            return {"peers": [], "sidecar": {"connected": False, "problem": str(error)}}
        return {"peers": told.get("peers", []), "sidecar": {"connected": True, "problem": told.get("problem", "")}}


def picture(agent: Agent) -> dict[str, Any]:
    """Return what the agent knows of itself, as plain values for JSON."""
    progress, node = agent.progress, agent.identity
    return {
        "node": node.node,
        "version": version("felix-py"),
        "addresses": [unpack(address) for address in node.addresses if address],
        "ready": progress.ready,
        "progress": {
            "fib_read": progress.fib_read,
            "datastore_in_sync": progress.datastore_in_sync,
            "sidecar_connected": progress.sidecar_connected,
            "learned_settled": progress.learned_settled,
        },
        "as_number": agent.speaker.policy.own_as if agent.speaker else None,
        "blocks": [str(block) for block in agent.snapshot.own_blocks()],
        "borrowed": [str(address) for address in agent.borrowed()],
        "announced": sorted(str(prefix) for prefix in agent.announced),
        "pods": [
            {
                "namespace": endpoint.key.namespace,
                "name": endpoint.key.name,
                "device": endpoint.device,
                "addresses": [address.address for address in endpoint.addresses],
            }
            for endpoint in agent.snapshot.endpoints.values()
        ],
        "tunnels": tunnels(agent),
        "routes": routes(agent),
        "unreachable_next_hops": agent.unreachable_next_hops(),
        "repairs": agent.writer.repairs,
    }


def routing_facts(agent: Agent, *addresses: Prefix) -> dict[str, Any]:
    """Return what the agent wants for these addresses, and which of its announcements lead to them."""
    return {
        "node": agent.identity.node,
        "repair": agent.settings.repair,
        "as_number": agent.speaker.policy.own_as if agent.speaker else None,
        "wanted": {address.address: list(_wanted(agent, address)) for address in addresses},
        "announced": [str(prefix) for prefix in agent.announced if any(map(prefix.contains, addresses))],
    }


def _wanted(agent: Agent, address: Prefix) -> Iterator[dict[str, Any]]:
    """Yield every route that holds an address, the longest first."""
    for length in range(address.length, -1, -1):
        prefix = Prefix.of(f"{address.address}/{length}")
        for source, path in candidates(agent.rib, prefix):
            row = _row(agent, source, prefix, path)
            yield {"words" if key == "via" else key: value for key, value in row.items()}


def tunnels(agent: Agent) -> dict[str, Any]:
    """Return this node's end of the tunnels, and the nodes that are waited for. Nothing if no pool wants tunnels."""
    ground, end = agent.tunnels.ground, agent.tunnel_end
    if not ground.pools and not end.problem:
        return {}
    return {
        "ipip": {
            "device": IPIP_DEVICE,
            "up": bool(ground.device),
            "mtu": ground.mtu,
            "address": end.address,
            "pools": {str(pool.prefix): pool.mode for pool in ground.pools},
            "waits_for": agent.tunnels.waiting(agent.snapshot.whereabouts),
            "problem": end.problem,
        }
    }


def routes(agent: Agent) -> list[dict[str, Any]]:
    """Return every wanted route with its source, whether the kernel holds it, and what is to be said about it."""
    wanted = [
        _row(agent, source, prefix, path)
        for source in Source
        for prefix, path in sorted(agent.rib.wanted(source).items())
    ]
    held = agent.writer.fib.held
    return wanted + [
        _leftover_row(agent, prefix, held[prefix]) for prefix in sorted(held.keys() - agent.rib.prefixes())
    ]


def _row(agent: Agent, source: Source, prefix: Prefix, path: RouteSpec) -> dict[str, Any]:
    best = agent.rib.best_source(prefix) == source
    return {
        "prefix": str(prefix),
        "source": source.name.lower(),
        "via": ip_route_text(prefix, path, agent.writer.names),
        "best": best,
        "in_fib": best and agent.writer.fib.held.get(prefix) == path,
        "note": _note(agent, source, prefix, path, best),
    }


def _leftover_row(agent: Agent, prefix: Prefix, path: RouteSpec) -> dict[str, Any]:
    waits = "every peer has sent its end-of-RIB" if path.protocol == agent.ownership.learned else "it is removed"
    return {
        "prefix": str(prefix),
        "source": "nobody",
        "via": ip_route_text(prefix, path, agent.writer.names),
        "best": False,
        "in_fib": True,
        "note": f"nobody wants it; it stays until {waits}",
    }


def _note(agent: Agent, source: Source, prefix: Prefix, path: RouteSpec, best: bool) -> str:
    """Return why a route is not what it should be, or nothing."""
    fib = agent.writer.fib
    if source == Source.TUNNELS and not is_resolved(path):
        return agent.tunnel_end.problem or f"{IPIP_DEVICE} is not up"
    if not is_resolved(path):
        hops = dict.fromkeys(unpack(path.next_hop) for path in agent.learned.routes.get(prefix, ()))
        return f"next hop {', '.join(hops)} is not reachable" if hops else "its device is not there or down"
    if not best and (winner := agent.rib.best_source(prefix)) is not None:
        return f"{winner.name.lower()} wins"
    if prefix in agent.writer.refused:
        return f"the kernel refused it: {agent.writer.refused[prefix].text}"
    if squatter := fib.squatted.get(prefix):
        return f"a route of protocol {squatter.protocol} sits at our metric {squatter.metric}; left alone"
    if shadow := fib.shadow_of(prefix):
        return f"a route of protocol {shadow.protocol} with metric {shadow.metric} wins over it"
    return ""


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(status, "application/json", json.dumps(value).encode() + b"\n")


class AgentMetrics(Collector):
    """The agent's state as gauges, read when scraped. Names follow Felix's where Felix has the thing."""

    def __init__(self, agent: Agent, checks: Checks) -> None:
        self._agent, self._checks = agent, checks

    def collect(self) -> Iterable[Metric]:
        agent, writer = self._agent, self._agent.writer
        for name, text, value in (
            ("felix_active_local_endpoints", "Pods of this node that have routes", len(agent.snapshot.endpoints)),
            ("felix_cluster_num_hosts", "Nodes of the cluster", len(agent.snapshot.nodes)),
            ("felix_route_table_num_routes", "Routes of ours in the kernel", len(writer.fib.held)),
            ("felix_routes_refused", "Routes that the kernel refused", len(writer.refused)),
            ("felix_routes_unresolved", "Routes whose way out is not there", sum(1 for _ in agent.rib.unresolved())),
            ("felix_blocks", "Confirmed blocks of this node", len(agent.snapshot.own_blocks())),
            ("felix_ready", "1 once pods may be attached", int(agent.progress.ready)),
            ("felix_sidecar_connected", "1 while the BGP sidecar is there", int(agent.progress.sidecar_connected)),
            ("felix_invariants_violated", "Invariants violated at the last check", self._checks.violations),
        ):
            yield GaugeMetricFamily(name, text, value=value)
        for name, text, value in (
            ("felix_route_puts", "Routes put into the kernel", writer.puts),
            ("felix_route_removes", "Routes removed from the kernel", writer.removes),
            ("felix_route_repairs", "Foreign changes of our routes put right", writer.repairs),
        ):
            yield CounterMetricFamily(name, text, value=value)
