"""`python -m soak.addresses DATASTORE NODE`: many callers assign an address and release it, on a node without an agent.

It may be killed at any instruction: the handles are the same in each of its lives, so the next one releases what the
last one held. Standard output gets a line for each hundred operations. When standard input ends all is released; when
what has started it is gone, there is nothing to release any more.
"""

from __future__ import annotations

import asyncio
import select
import sys
from itertools import count

import datastore
from datastore.errors import DatastoreError
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import IpamError
from lab.namespaces import die_with_parent

CALLERS = 8
EACH = 100
PAUSE_SECONDS = 0.05


class Callers:
    """All callers of one node."""

    def __init__(self, allocator: Allocator, node: str) -> None:
        self._allocator, self._node = allocator, node
        self._operations = count(1)
        self.ends = asyncio.Event()

    async def call(self, number: int) -> None:
        """Be one of them, until all are to end."""
        handle = f"soak.{self._node}.{number}"
        await self._released(handle)
        while not self.ends.is_set():
            try:
                await self._allocator.assign(AddressesWanted(self._node, handle))
                self._count()
            except (DatastoreError, IpamError):
                await asyncio.sleep(PAUSE_SECONDS)  # something may have been assigned all the same
            await self._released(handle)

    async def _released(self, handle: str) -> None:
        while True:
            try:
                await self._allocator.release_handle(handle)
            except (DatastoreError, IpamError):
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self._count()
                return

    def _count(self) -> None:
        if next(self._operations) % EACH == 0:
            print(EACH, flush=True)


async def main(url: str, node: str) -> None:
    store = datastore.open(url)
    try:
        callers = Callers(Allocator(store), node)
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), callers.ends.set)
        await asyncio.gather(*map(callers.call, range(CALLERS)))
    finally:
        await store.close()


if __name__ == "__main__":
    die_with_parent()
    if not select.select([sys.stdin], [], [], 0)[0]:  # else it was gone before
        asyncio.run(main(*sys.argv[1:]))
