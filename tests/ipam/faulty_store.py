"""A store without transactions some of whose writes fail, or are carried out and not heard of."""

from __future__ import annotations

import asyncio

from datastore.errors import DatastoreError, Unavailable
from datastore.record import Resource
from datastore.store import Write
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, pool


class FaultyStore(MemoryStore):
    """One pool and two nodes. Writes are named `Create IPAMHandle`."""

    def __init__(self, cidr: str = "10.65.0.0/24", block_size: int = 26) -> None:
        super().__init__(pool("pods", cidr, block_size=block_size), node("n1"), node("n2"), atomic=False)
        self.fails: dict[str, DatastoreError] = {}
        self.unheard: set[str] = set()
        self.held_back: dict[str, asyncio.Event] = {}
        self.asked: list[str] = []
        """Every write, in the order in which they were asked for."""

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        what = ", ".join(f"{type(write).__name__} {type(write.resource).KIND}" for write in writes)
        self.asked.append(what)
        await asyncio.sleep(0)
        if what in self.held_back:
            await self.held_back[what].wait()
        if what in self.fails:
            raise self.fails[what]
        done = await super().write(*writes)
        if what in self.unheard:
            raise Unavailable(f"the answer to {what} is lost")
        return done
