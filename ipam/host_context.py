"""What the cluster says about addresses on one host: settings, pools, reservations, node labels, the host's blocks.

Read for each request, shared by requests that come together, and cached between requests while a watch reports changes.
It is a hint either way: what is decided from it is settled by compare-and-swap.
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

CONTEXT_KINDS = (IPAMConfig, IPPool, IPReservation, Node, BlockAffinity)
"""The kinds that a context is made of."""


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
        """Whether hosts may assign from their own blocks only."""
        return self.config is not None and self.config.spec.strict_affinity

    @property
    def claims_blocks(self) -> bool:
        """Whether hosts may claim blocks as they need them."""
        return self.config is None or self.config.spec.auto_allocate_blocks

    @property
    def cooldown_seconds(self) -> int:
        """How long a released address is not assigned again."""
        return self.config.spec.ip_cooldown_seconds if self.config else 0

    def reserved(self, version: int) -> Reserved:
        networks = (cidr for reservation in self.reservations for cidr in reservation.networks)
        return Reserved.of(networks, version)


class HostContexts:
    """The contexts of one store, by host."""

    def __init__(self, store: Store, affinities: Affinities) -> None:
        self._store = store
        self._affinities = affinities
        self._reads: Batcher[str, None, HostContext] = Batcher(self._read)
        self._cache: dict[str, HostContext] | None = None
        self._changes = 0

    def on_event(self, event: WatchEvent) -> None:
        """Take in one event of a watch that includes CONTEXT_KINDS; other kinds are ignored.

        From its InSync on, contexts are cached. Such a watch must not end before this process does.
        """
        match event:
            case InSync():
                self._cache = {}
            case Changed(resource=Node() as node):
                self._invalidate(node.name)
            case Changed(resource=resource) if isinstance(resource, CONTEXT_KINDS):
                self._invalidate()
            case Gone(kind=kind) if kind in CONTEXT_KINDS:
                self._invalidate()

    def _invalidate(self, host: str | None = None) -> None:
        self._changes += 1
        if self._cache and host is None:
            self._cache = {}
        elif self._cache and host is not None:
            self._cache.pop(host, None)

    async def of(self, host: str) -> HostContext:
        cached = self._cache.get(host) if self._cache else None
        return cached or await self._reads.submit(host, None)

    async def cooldown_seconds(self) -> int:
        """Return how long a released address is not assigned again; costs one read where nothing is cached."""
        for cached in (self._cache or {}).values():
            return cached.cooldown_seconds
        config = await self._config()
        return config.spec.ip_cooldown_seconds if config else 0

    async def _read(self, host: str, waiting: Sequence[None]) -> Sequence[HostContext]:
        changes = self._changes
        context = HostContext(
            await self._config(),
            (await self._store.list(IPPool)).objects,
            (await self._store.list(IPReservation)).objects,
            await self._node_labels(host),
            tuple(await self._affinities.of_host(host)),
        )
        if self._cache is not None and changes == self._changes:
            self._cache[host] = context
        return [context] * len(waiting)

    async def _config(self) -> IPAMConfig | None:
        return await found_or_none(self._store.get(IPAMConfig, "default"))

    async def _node_labels(self, host: str) -> Mapping[str, str]:
        node = await found_or_none(self._store.get(Node, host))
        return node.labels if node else {}
