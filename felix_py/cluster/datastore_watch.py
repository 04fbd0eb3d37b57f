"""Follows the records that concern this node, and all blocks as well once pools and sessions ask for them.

An edge: which kinds are watched is decided by `interests`, what is made of their events by `records`.
"""

from __future__ import annotations

import asyncio
import logging

from datastore.store import InSync, Store, WatchEvent
from felix_py.cluster.interests import needs_blocks, watched
from felix_py.cluster.records import Records
from felix_py.peering.peering import Peering
from felix_py.snapshot import Snapshot
from felix_py.topics import Topic

log = logging.getLogger("felix.datastore")


class _MoreWanted(Exception):
    """What is watched is not enough any more."""


class DatastoreWatch:
    """One agent's watch. Once it has come to blocks it keeps to them: to stop would look as if all had gone."""

    def __init__(self, store: Store, snapshot: Snapshot, peering: Peering, records: Records) -> None:
        self.records = records
        self._store, self._snapshot, self._peering = store, snapshot, peering
        self._blocks_wanted = asyncio.Event()
        self._with_blocks = self._blocks_known = False

    @property
    def has_all(self) -> bool:
        """Whether all that routes depend on has been reported, as far as the rest has."""
        return self._blocks_known or not self._blocks_wanted.is_set()

    async def look(self) -> None:
        """Find out whether blocks are to be watched. What nothing wants is not removed, then, until they are known."""
        if not self._blocks_wanted.is_set() and needs_blocks(self._snapshot.pools.values(), self._peering.is_alone):
            log.info("watching all IPAMBlocks: where nodes borrow addresses of each other no BGP session tells")
            self._blocks_wanted.set()

    async def run(self) -> None:
        """Follow what is wanted. When that is more than before, all is read anew."""
        while True:
            self._with_blocks = self._blocks_wanted.is_set()
            events = self._store.watch(*watched(self._snapshot.node, blocks=self._with_blocks))
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.records.follow(events))
                    if not self._with_blocks:
                        tasks.create_task(self._wait_for_more())
            except* _MoreWanted:
                pass

    def fold(self, event: WatchEvent) -> Topic:
        """Take in one event; as soon as blocks are known too, what nothing wants may go."""
        if not (isinstance(event, InSync) and self._with_blocks) or self._blocks_known:
            return Topic.NOTHING
        self._blocks_known = True
        return Topic.IN_SYNC

    async def _wait_for_more(self) -> None:
        await self._blocks_wanted.wait()
        raise _MoreWanted
