"""Runs the invariants on this node: when asked, and at a low rate by itself.

An edge: it reads the kernel, asks the predicates twice, and reports. Of the datastore it takes what the agent's
snapshot holds, and reads the node's few blocks: whenever somebody asks, and else only if pods or claims of the node
have changed since. At rest a check costs the datastore nothing.

Of the kernel's routes it asks for those that something has happened to since the last check (`Touched`), one by one; if
the answers show each to be as wanted, no other is looked at. Otherwise the whole table is read: also when many were
touched, as long as something is wrong, when somebody asks, and at a low rate for what changed without an event. As long
as nothing at all has changed since a check found nothing, that is all that is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from datastore.errors import DatastoreError
from datastore.kinds.ipam import BlockAffinity
from felix_py.agent import Agent
from felix_py.invariants import INVARIANTS, Local, NodeRecords, Violation, looking, persisting
from felix_py.own_blocks import BlocksRead, concerning, read_blocks
from felix_py.routes.comparison import Comparison, shows_the_best
from felix_py.snapshot import Endpoint
from felix_py.status_model import BrokenInvariant, InvariantReport
from ipam.names import parse_pod_handle
from kernel.link_codec import Link
from kernel.netlink import KernelError
from kernel.route import RouteSpec
from net.prefix import Prefix

log = logging.getLogger("felix.checks")

SECOND_LOOK_SECONDS = 0.5
DEL_SECONDS = 600.0
"""How long a DEL is waited for after the endpoint of a container has gone: one that never comes is a leak."""

AT_REST_SECONDS = 300.0
"""How long routes that were found sound are taken for sound while nothing happens to them."""

ASKED_AT_ONCE = 100  # routes

Concern = tuple[tuple[Endpoint, ...], tuple[BlockAffinity, ...]]
"""What of a node's records has to agree with its blocks."""


class _Sound(NamedTuple):
    """What there was when nothing was found wrong."""

    changes: int
    concern: Concern
    pending: frozenset[str]


class Checks:
    """The invariants of one node.

    pending: the handles whose release this node has journaled. outliving: of this host's devices, those of containers
    that may be there for a while without an endpoint.
    """

    def __init__(
        self,
        agent: Agent,
        pending: Callable[[], frozenset[str]],
        outliving: Callable[[Iterable[Link]], frozenset[str]] = lambda links: frozenset(),
        second_look_seconds: float = SECOND_LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds from any beginning."""
        self._agent, self._pending, self._outliving = agent, pending, outliving
        self._second_look_seconds, self._clock = second_look_seconds, clock
        self._outlived: dict[str, float] = {}
        """The handles of containers that are there without an endpoint, and since when they have been seen so."""
        self._last: list[Violation] = []
        self._blocks: BlocksRead | None = None
        self._read_for: Concern | None = None
        self._sound: _Sound | None = None
        self._whole_at: float | None = None
        """When all routes were last looked at; None: that is due."""

    @property
    def violations(self) -> int:
        return len(self._last)

    def last_report(self) -> InvariantReport:
        violated = (BrokenInvariant(violation.number, violation.text) for violation in self._last)
        return InvariantReport(len(INVARIANTS), tuple(violated))

    async def run(self, *, anew: bool = True) -> InvariantReport:
        """Look; if something is wrong look again, and report what persists. Raises KernelError.

        anew: look, and read blocks, even if all was found right and nothing here has changed since.
        """
        if not anew and self._is_as_it_was_found():
            return self.last_report()
        sound = _Sound(self._agent.changes, self._concern(), self._pending())
        touched = self._touched(sound.concern)
        prefixes = None if anew or self._last or self._is_whole_due() else touched
        whole_at, self._whole_at = self._clock() if prefixes is None else self._whole_at, None
        if anew or self._last or self._read_for != self._concern():
            await self._read_blocks()
        found = await self._look(prefixes)
        if found:
            await asyncio.sleep(self._second_look_seconds)
            await self._read_blocks()
            found = persisting(found, await self._look(prefixes))
        for violation in set(found) - set(self._last):
            log.error("invariant %d is violated: %s", violation.number, violation.text)
        self._last, self._sound = found, None if found or self._blocks is None else sound
        self._whole_at = whole_at
        return self.last_report()

    async def run_periodically(self, seconds: float) -> None:
        """Run every so many seconds, never with 0. Until the agent is ready there is nothing to judge."""
        await self._agent.ready()
        while seconds:
            await asyncio.sleep(seconds)
            try:
                await self.run(anew=False)
            except KernelError as error:
                log.warning("check the invariants: %s; next try in %g s", error, seconds)
            except Exception:
                log.exception("check the invariants; next try in %g s", seconds)

    def _is_as_it_was_found(self) -> bool:
        """Whether nothing was wrong not long ago, and nothing has changed or comes due since."""
        if self._sound is None or self._outlived or self._is_whole_due():
            return False
        return self._sound == _Sound(self._agent.changes, self._concern(), self._pending())

    def _is_whole_due(self) -> bool:
        return self._whole_at is None or self._clock() >= self._whole_at + AT_REST_SECONDS

    def _touched(self, concern: Concern) -> AbstractSet[Prefix] | None:
        """Return the prefixes that something happened to, or to whose pod, since the last check."""
        touched = self._agent.routing.writer.touched.take()
        new = set(concern[0]).difference(self._sound.concern[0] if self._sound else ())
        return None if touched is None else touched | {address for one in new for address in one.addresses}

    def _concern(self) -> Concern:
        snapshot = self._agent.snapshot
        return tuple(snapshot.endpoints.values()), tuple(snapshot.affinities.values())

    async def _read_blocks(self) -> None:
        """Read the blocks that concern this node. If the datastore does not answer, nothing is said about them."""
        agent, self._read_for = self._agent, self._concern()
        try:
            self._blocks = await read_blocks(agent.edges.store, concerning(agent.snapshot))
            agent.log_notices(agent.notices.put("own blocks", self._blocks.notices))
        except DatastoreError as error:
            self._blocks = self._read_for = None
            log.warning("check what blocks hold for this node: %s; the rest is checked", error)

    def _awaiting_del(self, links: Iterable[Link]) -> frozenset[str]:
        """Return the handles of containers whose endpoint has gone not long ago."""
        now = self._clock()
        containers = {endpoint.container_id for endpoint in self._agent.snapshot.endpoints.values()}
        without = (handle for handle in self._outliving(links) if parse_pod_handle(handle)[1] not in containers)
        self._outlived = {handle: self._outlived.get(handle, now) for handle in without}
        return frozenset(handle for handle, since in self._outlived.items() if now < since + DEL_SECONDS)

    async def _look(self, prefixes: AbstractSet[Prefix] | None) -> list[Violation]:
        """Look once. prefixes: those whose route is looked at, if that shows all to be right; None: all."""
        agent, routing, snapshot = self._agent, self._agent.routing, self._agent.snapshot
        kernel = agent.edges.kernel
        links = kernel.links().values()
        held, looked_at = await self._read_routes(prefixes)
        records = NodeRecords(
            endpoints=tuple(snapshot.endpoints.values()),
            endpoints_known=not snapshot.unreadable,
            blocks=self._blocks.blocks if self._blocks else (),
            blocks_known=self._blocks is not None,
            unknown=self._blocks.unknown if self._blocks else frozenset(),
            affinities=tuple(snapshot.affinities.values()),
            pod_cidrs=snapshot.own_pod_cidrs(),
            node=snapshot.nodes.get(snapshot.node),
            leaving=self._pending() | self._awaiting_del(links),
        )
        local = Local(
            node=snapshot.node,
            rib=routing.rib,
            held=held,
            devices={link.name: link.index for link in links},
            announced=frozenset(agent.peering.client.announced),
            exportable=frozenset(agent.peering.exportable()),
            foreign_touched=routing.writer.foreign_touched,
            ownership=routing.ownership,
            looked_at=looked_at,
        )
        found = []
        for violation in looking(records, local):
            found.append(violation)
            await asyncio.sleep(0)  # there may be one for each route
        return found

    async def _read_routes(
        self, prefixes: AbstractSet[Prefix] | None
    ) -> tuple[Mapping[Prefix, RouteSpec], AbstractSet[Prefix]]:
        """Return what the kernel holds of ours that may be wrong, and of which prefixes that is all."""
        if prefixes is not None and (held := await self._confirmed(prefixes)) is not None:
            return held, prefixes
        kernel, routing = self._agent.edges.kernel, self._agent.routing
        pods = {address for one in self._agent.snapshot.endpoints.values() for address in one.addresses}
        quick = Comparison(routing.rib, routing.ownership)
        await kernel.read(quick.take)
        if quick.lacks_nothing:
            return quick.kept, pods
        exact = Comparison(routing.rib, routing.ownership, exact=True)
        await kernel.read(exact.take)
        return exact.kept, exact.lacking() | pods

    async def _confirmed(self, prefixes: AbstractSet[Prefix]) -> Mapping[Prefix, RouteSpec] | None:
        """Return the routes of these prefixes if the kernel, asked for each, shows to hold the best; else None."""
        kernel, rib = self._agent.edges.kernel, self._agent.routing.rib
        held = {}
        for count, prefix in enumerate(prefixes, 1):
            if not shows_the_best(rib, prefix, kernel.match(prefix)):
                return None
            if (best := rib.best(prefix)) is not None:
                held[prefix] = best
            if count % ASKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return held
