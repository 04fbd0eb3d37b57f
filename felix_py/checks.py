"""Runs the invariants on this node: when asked, and at a low rate by itself.

An edge: it reads the datastore and the kernel, asks the predicates twice, and reports.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from datastore.errors import DatastoreError
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store
from felix_py.agent import Agent
from felix_py.invariants import INVARIANTS, Cluster, Local, Violation, persisting, violations
from felix_py.status_model import BrokenInvariant, InvariantReport
from kernel.netlink import KernelError
from kernel.rtnetlink import Rtnetlink

log = logging.getLogger("felix.checks")

SECOND_LOOK_SECONDS = 0.5


class Checks:
    """The invariants of one node. `leaving`: the handles whose release this node has journaled."""

    def __init__(self, agent: Agent, store: Store, kernel: Rtnetlink, leaving: Callable[[], frozenset[str]]) -> None:
        self._agent, self._store, self._kernel, self._leaving = agent, store, kernel, leaving
        self._last: list[Violation] = []

    @property
    def violations(self) -> int:
        return len(self._last)

    def last_report(self) -> InvariantReport:
        violated = (BrokenInvariant(violation.number, violation.text) for violation in self._last)
        return InvariantReport(len(INVARIANTS), tuple(violated))

    async def run(self) -> InvariantReport:
        """Look; if something is wrong look again, and report what stands."""
        found = await self._look()
        if found:
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            found = persisting(found, await self._look())
        for violation in set(found) - set(self._last):
            log.error("invariant %d is violated: %s", violation.number, violation.text)
        self._last = found
        return self.last_report()

    async def run_at_times(self, seconds: float) -> None:
        while seconds:
            await asyncio.sleep(seconds)
            try:
                await self.run()
            except (DatastoreError, KernelError) as error:
                log.warning("check the invariants: %s; next try in %g s", error, seconds)

    async def _look(self) -> list[Violation]:
        agent, ownership = self._agent, self._agent.routing.ownership
        cluster = Cluster(
            endpoints=(await self._store.list(WorkloadEndpoint)).objects,
            blocks=(await self._store.list(IPAMBlock)).objects,
            affinities=(await self._store.list(BlockAffinity)).objects,
            nodes=(await self._store.list(Node)).objects,
            leaving=self._leaving(),
        )
        held = {prefix: path for prefix, path in await self._kernel.dump() if ownership.has(path)}
        local = Local(
            node=agent.identity.node,
            rib=agent.routing.rib,
            held=held,
            devices={link.name: index for index, link in self._kernel.links().items()},
            announced=frozenset(agent.peering.client.announced),
            exportable=frozenset(agent.peering.exportable()),
            foreign_touched=agent.routing.writer.foreign_touched,
            ownership=ownership,
        )
        return violations(cluster, local)
