"""Runs the invariants on this node: when asked, and at a low rate by itself.

An edge: it reads the kernel, asks the predicates twice, and reports. Of the datastore it takes what the agent's
snapshot holds, and reads the node's few blocks: whenever somebody asks, and else only if pods or claims of the node
have changed since. At rest a check costs the datastore nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from datastore.errors import DatastoreError
from datastore.kinds.ipam import BlockAffinity
from felix_py.agent import Agent
from felix_py.invariants import INVARIANTS, Local, NodeRecords, Violation, looking, persisting
from felix_py.own_blocks import BlocksRead, concerning, read_blocks
from felix_py.snapshot import Endpoint
from felix_py.status_model import BrokenInvariant, InvariantReport
from kernel.netlink import KernelError

log = logging.getLogger("felix.checks")

SECOND_LOOK_SECONDS = 0.5

Concern = tuple[tuple[Endpoint, ...], tuple[BlockAffinity, ...]]
"""What of a node's records has to agree with its blocks."""


class Checks:
    """The invariants of one node. leaving: the handles that need no endpoint, as their release is to come."""

    def __init__(
        self,
        agent: Agent,
        leaving: Callable[[], frozenset[str]],
        second_look_seconds: float = SECOND_LOOK_SECONDS,
    ) -> None:
        self._agent, self._leaving = agent, leaving
        self._second_look_seconds = second_look_seconds
        self._last: list[Violation] = []
        self._blocks: BlocksRead | None = None
        self._read_for: Concern | None = None

    @property
    def violations(self) -> int:
        return len(self._last)

    def last_report(self) -> InvariantReport:
        violated = (BrokenInvariant(violation.number, violation.text) for violation in self._last)
        return InvariantReport(len(INVARIANTS), tuple(violated))

    async def run(self, *, anew: bool = True) -> InvariantReport:
        """Look; if something is wrong look again, and report what persists. Raises KernelError.

        anew: read blocks even if they were found right and nothing here has changed since.
        """
        if anew or self._last or self._read_for != self._concern():
            await self._read_blocks()
        found = await self._look()
        if found:
            await asyncio.sleep(self._second_look_seconds)
            await self._read_blocks()
            found = persisting(found, await self._look())
        for violation in set(found) - set(self._last):
            log.error("invariant %d is violated: %s", violation.number, violation.text)
        self._last = found
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

    async def _look(self) -> list[Violation]:
        agent, routing, snapshot = self._agent, self._agent.routing, self._agent.snapshot
        kernel = agent.edges.kernel
        held = {prefix: spec for prefix, spec in await kernel.dump() if routing.ownership.has(spec)}
        records = NodeRecords(
            endpoints=tuple(snapshot.endpoints.values()),
            endpoints_known=not snapshot.unreadable,
            blocks=self._blocks.blocks if self._blocks else (),
            blocks_known=self._blocks is not None,
            unknown=self._blocks.unknown if self._blocks else frozenset(),
            affinities=tuple(snapshot.affinities.values()),
            pod_cidrs=snapshot.own_pod_cidrs(),
            node=snapshot.nodes.get(snapshot.node),
            leaving=self._leaving(),
        )
        local = Local(
            node=snapshot.node,
            rib=routing.rib,
            held=held,
            devices={link.name: index for index, link in kernel.links().items()},
            announced=frozenset(agent.peering.client.announced),
            exportable=frozenset(agent.peering.exportable()),
            foreign_touched=routing.writer.foreign_touched,
            ownership=routing.ownership,
        )
        found = []
        for violation in looking(records, local):
            if violation is None:
                await asyncio.sleep(0)
            else:
                found.append(violation)
        return found
