"""What the blocks of one host hold for a handle, whether or not a handle's record says so.

They are known from this process's own reads and writes. One that is not, as after a write whose answer was not heard,
is read: what was is found by reading, never by remembering alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from datastore.errors import BadRecord
from datastore.fields import Address, Network
from ipam.affinities import Affinities
from ipam.block_writer import BlockWriter, MissingBlock
from ipam.host_context import HostContexts


class HeldAddresses:
    """What is assigned in the blocks of the host whose agent this process is."""

    def __init__(self, writer: BlockWriter, affinities: Affinities, contexts: HostContexts) -> None:
        self._writer, self._affinities, self._contexts = writer, affinities, contexts
        self._host: str | None = None
        self._adopted: set[Network] = set()

    @property
    def of_a_host(self) -> bool:
        """Whether this process is any host's agent."""
        return self._host is not None

    def adopt(self, host: str, cidrs: Iterable[Network]) -> None:
        """Be this host's agent. Its blocks as read at the start; later ones are learned from watch and claims."""
        self._host, self._adopted = host, set(cidrs)

    async def under(self, handle: str) -> dict[Address, Network]:
        """Return what they hold for a handle, each with its block; those that cannot be read are passed over."""
        if self._host is not None:
            await self._read_unknown(self._host)
        return self._writer.known.held(handle)

    async def _read_unknown(self, host: str) -> None:
        own = self._adopted | self._affinities.claimed(host) | self._contexts.reported(host)
        unknown = [cidr for cidr in own if self._writer.known.get(cidr) is None]
        looks = map(self._writer.look, unknown)
        for cidr, failure in zip(unknown, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            match failure:
                case MissingBlock():
                    self._adopted.discard(cidr)
                    self._affinities.forget(host, cidr)
                case BadRecord() | None:
                    pass
                case _:
                    raise failure
