"""What the cluster says about addresses on one host: settings, pools, reservations, the host's own blocks.

Read for each request, shared by those that come together, and kept between requests where somebody follows the store.
It is a hint either way: what it leads to is settled by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datastore.cas import found_or_none
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, IPReservation
from datastore.store import Changed, Gone, InSync, Store, WatchEvent
from ipam.affinities import Affinities
from ipam.reserved import Reserved

FOLLOWED = (IPAMConfig, IPPool, IPReservation, Node, BlockAffinity)
"""The kinds that a view is made of."""


@dataclass(frozen=True, slots=True)
class HostContext:
    """Everything that a choice of addresses on one host depends on, but for the blocks themselves."""

    config: IPAMConfig | None
    pools: tuple[IPPool, ...]
    reservations: tuple[IPReservation, ...]
    node_labels: Mapping[str, str]
    affinities: tuple[BlockAffinity, ...]

    @property
    def strict(self) -> bool:
        """Whether each host keeps to its own blocks."""
        return self.config is not None and self.config.spec.strict_affinity

    @property
    def claims_blocks(self) -> bool:
        """Whether hosts may claim blocks as they need them."""
        return self.config is None or self.config.spec.auto_allocate_blocks

    @property
    def cooldown_seconds(self) -> int:
        """How long a released address rests."""
        return self.config.spec.ip_cooldown_seconds if self.config else 0

    def reserved(self, version: int) -> Reserved:
        networks = (cidr for reservation in self.reservations for cidr in reservation.networks)
        return Reserved.of(networks, version)


class HostContexts:
    """The views of one store."""

    def __init__(self, store: Store, claims: Affinities) -> None:
        self._store = store
        self._claims = claims
        self._rounds: Batcher[str, None, HostContext] = Batcher(self._read)
        self._kept: dict[str, HostContext] | None = None
        self._changes = 0

    async def follow(self) -> None:
        """Keep what was read until the store tells that something of it changed. Runs until cancelled."""
        try:
            async for event in self._store.watch(*FOLLOWED):
                self.notice(event)
        finally:
            self._kept = None

    def notice(self, event: WatchEvent) -> None:
        """Take in one event of a watch that somebody else keeps anyway; other kinds than FOLLOWED do not count.

        From its InSync on what was read is kept. Such a watch must not end before this process does.
        """
        match event:
            case InSync():
                self._kept = {}
            case Changed(resource=Node() as node):
                self._forget(node.name)
            case Changed(resource=resource) if isinstance(resource, FOLLOWED):
                self._forget()
            case Gone(kind=kind) if kind in FOLLOWED:
                self._forget()

    def _forget(self, host: str | None = None) -> None:
        self._changes += 1
        if self._kept and host is None:
            self._kept = {}
        elif self._kept and host is not None:
            self._kept.pop(host, None)

    async def of(self, host: str) -> HostContext:
        kept = self._kept.get(host) if self._kept else None
        return kept or await self._rounds.submit(host, None)

    async def cooldown_seconds(self) -> int:
        """Return how long a released address rests, at the cost of one reading where nothing is kept."""
        for kept in (self._kept or {}).values():
            return kept.cooldown_seconds
        config = await self._config()
        return config.spec.ip_cooldown_seconds if config else 0

    async def _read(self, host: str, asked: Sequence[None]) -> Sequence[HostContext]:
        changes = self._changes
        view = HostContext(
            await self._config(),
            tuple((await self._store.list(IPPool)).objects),
            tuple((await self._store.list(IPReservation)).objects),
            await self._node_labels(host),
            tuple(await self._claims.of_host(host)),
        )
        if self._kept is not None and changes == self._changes:
            self._kept[host] = view
        return [view] * len(asked)

    async def _config(self) -> IPAMConfig | None:
        return await found_or_none(self._store.get(IPAMConfig, "default"))

    async def _node_labels(self, host: str) -> Mapping[str, str]:
        node = await found_or_none(self._store.get(Node, host))
        return node.labels if node else {}
