"""One process of the many that share a file: it assigns and releases until it is killed, and says so beforehand.

Each handle has an endpoint, which is written with the last of its addresses and deleted with the first.

Each line it writes to the pipe is whole (shorter than PIPE_BUF): `assign H` and `release H` before the store is asked,
`got H ADDRESS…`, `none H`, `done H` after it has answered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

import datastore
from datastore.cas import found_or_none
from datastore.errors import Conflict, DatastoreError
from datastore.fields import Address
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.sqlite import SqliteStore
from datastore.store import Create, Delete, Store, Write
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import IpamError
from ipam.host_context import CONTEXT_KINDS

AT_ONCE = 3
NAMESPACE = "default"
HOLD = 14
"""How many handles each of the concurrent requesters keeps: all together a little less than the pool."""


def work(file: str, pipe: str, host: str, life: int, unsure: Sequence[str], hosts: Sequence[str], blind: bool) -> None:
    """Run until killed. `unsure` are handles that an earlier life may or may not have got addresses for."""
    asyncio.run(_work(file, pipe, host, life, unsure, hosts, blind))


async def _work(
    file: str, pipe: str, host: str, life: int, unsure: Sequence[str], hosts: Sequence[str], blind: bool
) -> None:
    store: Store = BlindStore(file) if blind else datastore.open(f"sqlite:///{file}")
    allocator = Allocator(store)
    lines = os.open(pipe, os.O_WRONLY)

    async def requester(number: int) -> None:
        random = Random(f"{host} {life} {number}")
        held: list[str] = list(unsure[number::AT_ONCE])
        made = 0
        while True:
            if len(held) >= HOLD or (held and random.random() < 0.45):
                await release(held.pop(random.randrange(len(held))))
            elif random.random() < 0.03:
                await give_up(random.choice(hosts))
            else:
                made += 1
                handle = f"net.{host}-{life}-{number}-{made}"
                held.append(handle)
                await assign(handle, random.choice((1, 1, 1, 2)))

    async def assign(handle: str, count: int) -> None:
        say(f"assign {handle}")
        wanted = AddressesWanted(
            host, handle, {"node": host}, ipv4=count, ipv6=count - 1, companion=partial(_created, host, handle)
        )
        try:
            given = await allocator.assign(wanted)
        except (IpamError, DatastoreError):
            say(f"none {handle}")
        else:
            say(f"got {handle} {' '.join(map(str, given.blocks))}")

    async def release(handle: str) -> None:
        say(f"release {handle}")
        try:
            await release_with_endpoint(store, allocator, handle)
        except (IpamError, DatastoreError):
            say(f"none {handle}")
        else:
            say(f"done {handle}")

    async def give_up(other: str) -> None:
        try:
            await allocator.release_affinity(other, must_be_empty=other != host)
        except (IpamError, DatastoreError):
            return

    async def watch() -> None:
        async for event in store.watch(*CONTEXT_KINDS):
            allocator.on_event(event)

    def say(line: str) -> None:
        os.write(lines, f"{line}\n".encode())

    async with asyncio.TaskGroup() as group:
        if life % 2:
            group.create_task(watch())
        for number in range(AT_ONCE):
            group.create_task(requester(number))


async def release_with_endpoint(store: Store, allocator: Allocator, handle: str) -> None:
    """Release a handle, whatever of it was written."""
    endpoint = await found_or_none(store.get(WorkloadEndpoint, handle, NAMESPACE))
    await allocator.release_handle(handle, companion=None if endpoint is None else Delete(endpoint))


def _created(host: str, handle: str, addresses: Sequence[Address]) -> Create:
    networks = [f"{address}/{address.max_prefixlen}" for address in addresses]
    return Create(WorkloadEndpoint.make(handle, NAMESPACE, node=host, containerID=handle, ipNetworks=networks))


class BlindStore(SqliteStore):
    """The embedded store without its compare-and-swap: what another process wrote meanwhile is overwritten."""

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        while True:
            with suppress(Conflict):
                return await super().write(*[await self._of_now(write) for write in writes])

    async def _of_now(self, write: Write) -> Write:
        if isinstance(write, Create):
            return write
        revision = (await self.get(type(write.resource), write.resource.name, write.resource.namespace)).revision
        return type(write)(write.resource.with_metadata(resource_version=revision))
