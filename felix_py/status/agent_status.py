"""The agent's parts as the values of status_model: what its pages serve.

An edge that reads and changes nothing. All that the pages know of the agent's insides is read in this file.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Any, Protocol, TypeVar

from bgp.client import SidecarError
from felix_py.agent import Agent
from felix_py.encap.ipip import IPIP
from felix_py.packet_path.host_watch import called_sessions
from felix_py.packet_path.kernel_facts import NAMESPACES, kernel_facts
from felix_py.release import installed_release
from felix_py.routes.next_hops import NextHopKey
from felix_py.routes.rib import Source, candidates, is_resolved
from felix_py.status.status_json import from_json
from felix_py.status_model import (
    AgentCounts,
    AgentProgress,
    AgentStatus,
    HostIssue,
    HostWarning,
    InvariantReport,
    NodeTrace,
    PodStatus,
    RouteIssue,
    RouteNote,
    RouteStatus,
    SessionStatus,
    SidecarStatus,
    TunnelStatus,
)
from kernel.route import RouteSpec, ip_route
from net.prefix import Prefix, unpack

T = TypeVar("T")

SIDECAR_SECONDS = 2.0  # less than a page may take: one that hangs has its own line in the status
MOST_REFUSED = 20  # routes of those that the kernel refuses: thousands are refused for one reason
LOCKED = "ClusterInformation default says datastoreReady false: no new pod is given an address until it says true"
PREFIXES_AT_ONCE = 25  # made into rows before other work of the loop has its turn, a millisecond
PREFIXES_SORTED_AT_ONCE = 1000


class InvariantChecks(Protocol):
    """What is asked of `felix_py.checks.Checks`."""

    def last_report(self) -> InvariantReport: ...

    async def run(self) -> InvariantReport: ...


class AgentReporter:
    """Answers the pages for one agent."""

    def __init__(
        self, agent: Agent, sidecar_report: Callable[[], Awaitable[Mapping[str, Any]]], checks: InvariantChecks
    ) -> None:
        """sidecar_report: returns the sidecar's own report, or raises SidecarError."""
        self._agent, self._sidecar_report, self._checks = agent, sidecar_report, checks
        self._release = installed_release()  # that this process runs: another may be installed meanwhile

    def progress(self) -> AgentProgress:
        progress = self._agent.progress
        return AgentProgress(
            progress.fib_read,
            progress.datastore_in_sync,
            progress.first_write,
            progress.sidecar_connected,
            progress.learned_settled,
            progress.attach_refused,
            progress.held_back,
            progress.identity,
            progress.not_installed,
            self._in_the_way(),
            LOCKED if self._agent.snapshot.locked else "",
        )

    def counts(self) -> AgentCounts:
        agent, writer = self._agent, self._agent.routing.writer
        return AgentCounts(
            pods=len(agent.snapshot.endpoints),
            nodes=len(agent.snapshot.nodes),
            blocks=len(agent.snapshot.own_blocks()),
            routes_held=len(writer.fib.held),
            routes_refused=len(writer.refused),
            routes_unresolved=sum(1 for _ in agent.routing.rib.unresolved()),
            ready=self.progress().ready,
            sidecar_connected=agent.progress.sidecar_connected,
            sidecar_differs=agent.progress.sidecar_differs,
            invariants_violated=len(self._checks.last_report().violated),
            notices=Counter(notice.kind for notice in agent.notices.all()),
            datastore_events=dict(agent.watch.records.counts),
            route_puts=writer.puts,
            route_removes=writer.removes,
            route_repairs=writer.repairs,
            silent_changes=writer.silent_changes,
            held_back=bool(agent.progress.held_back),
            warnings=len(self._in_the_way()),
        )

    def _in_the_way(self) -> tuple[HostWarning, ...]:
        """Return what of this host is in the way of pods."""
        problem = self._agent.edges.table.problem
        table = (HostWarning(HostIssue.TABLE_REFUSED, problem),) if problem else ()
        return (*self._agent.progress.in_the_way, *self._agent.progress.cut_off, *table)

    async def sessions(self) -> tuple[SessionStatus, ...]:
        """Return the BGP sessions; none while the sidecar does not answer."""
        return (await self._sessions())[1]

    async def status(self) -> AgentStatus:
        agent, node = self._agent, self._agent.identity
        sidecar, peers = await self._sessions()
        return AgentStatus(
            node=node.node,
            version=self._release,
            addresses=tuple(unpack(address) for address in agent.peering.addresses() if address),
            ready=self.progress().ready,
            progress=self.progress(),
            as_number=self._as_number(),
            blocks=tuple(agent.snapshot.own_blocks()),
            borrowed=tuple(agent.peering.borrowed()),
            announced=tuple(sorted(agent.peering.client.announced)),
            pods=tuple(
                PodStatus(pod.key.namespace, pod.key.name, pod.device, tuple(one.address for one in pod.addresses))
                for pod in agent.snapshot.endpoints.values()
            ),
            tunnels=self._tunnels(),
            routes={source.name.lower(): len(agent.routing.rib.wanted(source)) for source in Source},
            refused_routes={
                str(prefix): refused.text
                for prefix, refused in islice(agent.routing.writer.refused.items(), MOST_REFUSED)
            },
            unreachable_next_hops=tuple(agent.routing.unreachable_next_hops()),
            repairs=agent.routing.writer.repairs,
            peers=peers,
            sidecar=sidecar,
            invariants=self._checks.last_report(),
            notices=agent.notices.all(),
        )

    async def check(self) -> InvariantReport:
        return await self._checks.run()

    async def trace(self, to: Prefix, from_: Prefix) -> NodeTrace:
        agent, ends = self._agent, (to, from_)
        here = [pod for pod in agent.snapshot.endpoints.values() if set(ends).intersection(pod.addresses)]
        pods = {end.packed: pod.device for pod in here for end in ends if end in pod.addresses}
        sidecar, peers = await self._sessions()
        kernel = await asyncio.to_thread(
            kernel_facts,
            to.packed,
            from_.packed,
            pods,
            namespaces=NAMESPACES,
            sessions=called_sessions(agent.peering.client.speaker),
        )
        return NodeTrace(
            node=agent.identity.node,
            kernel=kernel,
            wanted={end.address: tuple(self._holding(end)) for end in ends},
            announced=tuple(prefix for prefix in agent.peering.client.announced if any(map(prefix.contains, ends))),
            repair=agent.settings.repair,
            as_number=self._as_number(),
            peers=peers,
            sidecar=sidecar,
            table_problem=agent.edges.table.problem,
        )

    async def routes(self, within: Prefix | None) -> AsyncIterator[RouteStatus]:
        """Yield the wanted routes by source and prefix, then those the kernel holds and no source wants.

        What the kernel holds is read from it now. Raises KernelError.
        """
        rib, ours = self._agent.routing.rib, self._agent.routing.ownership
        held: dict[Prefix, RouteSpec] = {}
        for portion in _portions(await self._agent.edges.kernel.dump()):
            held.update((prefix, spec) for prefix, spec in portion if ours.has(spec))
            await asyncio.sleep(0)
        for source in Source:
            async for prefix in _selected(rib.wanted(source), within):
                spec = rib.wanted(source).get(prefix)
                if spec is not None:  # else withdrawn meanwhile
                    yield self._wanted_route(source, prefix, spec, held)
        async for prefix in _selected(held.keys() - rib.prefixes(), within):
            spec = held.get(prefix)
            if spec is not None and rib.best_source(prefix) is None:
                yield self._unwanted_route(prefix, spec)

    def _holding(self, host: Prefix) -> Iterator[RouteStatus]:
        """Yield every wanted route that holds an address, the longest first."""
        for length in range(host.length, -1, -1):
            prefix = Prefix.of(f"{host.address}/{length}")
            for source, spec in candidates(self._agent.routing.rib, prefix):
                yield self._wanted_route(source, prefix, spec, self._agent.routing.writer.fib.held)

    def _wanted_route(
        self, source: Source, prefix: Prefix, spec: RouteSpec, held: Mapping[Prefix, RouteSpec]
    ) -> RouteStatus:
        routing, names = self._agent.routing, self._agent.host.names
        best = routing.rib.best_source(prefix) == source
        return RouteStatus(
            ip_route(prefix, spec, names),
            source.name.lower(),
            best,
            best and held.get(prefix) == spec,
            peers=self._peers(prefix) if source is Source.LEARNED else (),
            note=self._note(source, prefix, spec, best),
        )

    def _peers(self, prefix: Prefix) -> tuple[str, ...]:
        return tuple(dict.fromkeys(path.peer for path in self._agent.routing.learned.routes.get(prefix, ())))

    def _unwanted_route(self, prefix: Prefix, spec: RouteSpec) -> RouteStatus:
        learned = spec.protocol == self._agent.routing.ownership.learned
        note = RouteNote(RouteIssue.WAITS_FOR_PEERS if learned else RouteIssue.WAITS_FOR_REMOVAL)
        return RouteStatus(ip_route(prefix, spec, self._agent.host.names), "", in_fib=True, note=note)

    def _note(self, source: Source, prefix: Prefix, spec: RouteSpec, best: bool) -> RouteNote | None:
        routing, writer = self._agent.routing, self._agent.routing.writer
        if not is_resolved(spec):
            return self._unresolved(source, prefix)
        if not best and (winner := routing.rib.best_source(prefix)) is not None:
            return RouteNote(RouteIssue.WEAKER, source=winner.name.lower())
        if prefix in writer.refused:
            return RouteNote(RouteIssue.REFUSED, detail=writer.refused[prefix].text)
        if foreign := writer.fib.conflicting.get(prefix):
            return RouteNote(RouteIssue.CONFLICTING, protocol=foreign.protocol, metric=foreign.metric)
        if foreign := writer.fib.overriding(prefix):
            return RouteNote(RouteIssue.OVERRIDDEN, protocol=foreign.protocol, metric=foreign.metric)
        return None

    def _unresolved(self, source: Source, prefix: Prefix) -> RouteNote:
        if source == Source.TUNNELS:
            problem = self._agent.edges.tunnel.problem or f"{IPIP.device} is not up"
            return RouteNote(RouteIssue.TUNNEL_DOWN, detail=problem)
        if source == Source.STATIC:
            gateway = unpack(self._agent.routing.gateways[prefix])
            return RouteNote(RouteIssue.NEXT_HOP_UNREACHABLE, next_hops=(gateway,))
        hops = dict.fromkeys(str(NextHopKey.of(path)) for path in self._agent.routing.learned.routes.get(prefix, ()))
        if hops:
            return RouteNote(RouteIssue.NEXT_HOP_UNREACHABLE, next_hops=tuple(hops))
        return RouteNote(RouteIssue.DEVICE_DOWN)

    def _as_number(self) -> int | None:
        speaker = self._agent.peering.client.speaker
        return speaker.local.own_as if speaker else None

    def _tunnels(self) -> Mapping[str, TunnelStatus]:
        """Return this node's end of the tunnels; nothing if no pool wants any."""
        tunnels, end = self._agent.routing.tunnels, self._agent.edges.tunnel
        if not tunnels.settings.pools and not end.problem:
            return {}
        ipip = TunnelStatus(
            IPIP.device,
            up=bool(tunnels.settings.device),
            mtu=tunnels.settings.mtu,
            address=end.address,
            pools={str(pool.prefix): pool.mode for pool in tunnels.settings.pools},
            waits_for=tuple(tunnels.waiting()),
            problem=end.problem,
        )
        return {IPIP.kind: ipip}

    async def _sessions(self) -> tuple[SidecarStatus, tuple[SessionStatus, ...]]:
        try:
            async with asyncio.timeout(SIDECAR_SECONDS):
                report = await self._sidecar_report()
        except TimeoutError:
            problem = f"ask the sidecar: it is connected, and has not answered within {SIDECAR_SECONDS:g} s: it hangs"
            return SidecarStatus(connected=False, problem=problem), ()
        except SidecarError as error:
            return SidecarStatus(connected=False, problem=str(error)), ()
        sidecar = SidecarStatus(connected=True, problem=report.get("problem", ""))
        return sidecar, tuple(from_json(SessionStatus, row) for row in report.get("peers", ()))


async def _selected(prefixes: Iterable[Prefix], within: Prefix | None) -> AsyncIterator[Prefix]:
    """Yield the prefixes in order that hold `within` or lie in it, and leave the loop to others now and then."""
    runs = []
    for portion in _portions(list(prefixes)):
        runs.append(sorted(prefix for prefix in portion if within is None or within.overlaps(prefix)))
        await asyncio.sleep(0)
    for count, prefix in enumerate(merge(*runs), 1):
        yield prefix
        if count % PREFIXES_AT_ONCE == 0:
            await asyncio.sleep(0)


def _portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + PREFIXES_SORTED_AT_ONCE] for start in range(0, len(items), PREFIXES_SORTED_AT_ONCE))
