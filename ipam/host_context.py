"""What the cluster says about addresses on one host: settings, pools, reservations, node labels, the host's blocks.

Read for each request, shared by requests that come together, and cached between requests while a watch reports changes.
It is a hint either way: what is decided from it is settled by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datastore.cas import found_or_none
from datastore.fields import Address, Interface, Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, IPReservation
from datastore.store import Changed, Gone, InSync, Store, WatchEvent
from ipam.affinities import Affinities
from ipam.reserved import Reserved
from ipam.surroundings import UNUSABLE, Networks, blocks_of_hosts, interface_addresses
from net.address_range import lies_in

CONTEXT_KINDS = (IPAMConfig, IPPool, IPReservation, Node, BlockAffinity)
"""The kinds that a context is made of."""

_ALWAYS = {version: Reserved.of(UNUSABLE, version) for version in (4, 6)}


@dataclass(frozen=True, slots=True)
class HostContext:
    """Everything that a choice of addresses on one host depends on, but for the blocks themselves."""

    config: IPAMConfig | None
    pools: tuple[IPPool, ...]
    reservations: tuple[IPReservation, ...]
    node_labels: Mapping[str, str]
    affinities: tuple[BlockAffinity, ...]
    blocks_of_hosts: Networks = field(default_factory=dict)
    """Blocks that hold an address of a node or router, and whose: they are left alone."""

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
        """Return what automatic assignment leaves out: what is reserved, and what no pod may have."""
        if not self.reservations and not self.blocks_of_hosts:
            return _ALWAYS[version]
        networks = (cidr for reservation in self.reservations for cidr in reservation.networks)
        return Reserved.of((*networks, *self.blocks_of_hosts, *UNUSABLE), version)

    def why_not(self, address: Network) -> str | None:
        """Return why no pod may have this address, given as /32 or /128, in whatever pool it lies; None: it may."""
        kept = (*UNUSABLE.items(), *self.blocks_of_hosts.items())
        return next((f"it lies in {other}, {what}" for other, what in kept if lies_in(address, other)), None)


class HostContexts:
    """The contexts of one store, by host."""

    def __init__(self, store: Store, affinities: Affinities) -> None:
        self._store = store
        self._affinities = affinities
        self._reads: Batcher[str, None, HostContext] = Batcher(self._read)
        self._cache: dict[str, HostContext] | None = None
        self._changes = 0
        self._nodes: dict[str, tuple[Interface, ...]] = {}  # as the watch reports them
        self._avoided: Mapping[Address, str] = {}

    def avoid(self, hosts: Mapping[Address, str]) -> None:
        """Take these for addresses of hosts, beside those of Nodes: no block that holds one is claimed."""
        if hosts != self._avoided:
            self._avoided = hosts
            self._invalidate()

    def on_event(self, event: WatchEvent) -> None:
        """Take in one event of a watch that includes CONTEXT_KINDS; other kinds are ignored.

        From its InSync on, contexts are cached. Such a watch must not end before this process does.
        """
        match event:
            case InSync():
                self._cache = {}
            case Changed(resource=Node() as node):
                before, self._nodes[node.name] = self._nodes.get(node.name, ()), _interfaces(node)
                self._invalidate(node.name if self._nodes[node.name] == before else None)
            case Changed(resource=resource) if isinstance(resource, CONTEXT_KINDS):
                self._invalidate()
            case Gone(kind=kind, name=name) if kind in CONTEXT_KINDS:
                if kind is Node:
                    self._nodes.pop(name, None)
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
        pools = (await self._store.list(IPPool)).objects
        context = HostContext(
            await self._config(),
            pools,
            (await self._store.list(IPReservation)).objects,
            await self._node_labels(host),
            tuple(await self._affinities.of_host(host)),
            blocks_of_hosts(pools, await self._hosts()),
        )
        if self._cache is not None and changes == self._changes:
            self._cache[host] = context
        return [context] * len(waiting)

    async def _hosts(self) -> Mapping[Address, str]:
        """Return the addresses of nodes and other hosts, and whose each is."""
        if self._cache is None:
            nodes = {node.name: _interfaces(node) for node in (await self._store.list(Node)).objects}
        else:
            nodes = self._nodes
        found = dict(self._avoided)
        for name, interfaces in nodes.items():
            found |= interface_addresses(interfaces, f'Node "{name}"')
        return found

    async def _config(self) -> IPAMConfig | None:
        return await found_or_none(self._store.get(IPAMConfig, "default"))

    async def _node_labels(self, host: str) -> Mapping[str, str]:
        node = await found_or_none(self._store.get(Node, host))
        return node.labels if node else {}


def _interfaces(node: Node) -> tuple[Interface, ...]:
    return tuple(interface for interface in (node.ipv4, node.ipv6) if interface is not None)
