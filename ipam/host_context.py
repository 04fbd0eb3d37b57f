"""What the cluster says about addresses on one host: settings, pools, reservations, node labels, the host's blocks.

Kept as a watch reports it, which costs a request nothing; without a watch read for each request, once for those that
come together. It is a hint either way: what is decided from it is settled by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct, field

from datastore.cas import found_or_none
from datastore.fields import Address, Interface, Network
from datastore.group_commit import Batcher
from datastore.kinds.ipam import BlockAffinity, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool, IPReservation
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Store, Unreadable, WatchEvent
from ipam.affinities import Affinities, is_listed
from ipam.reserved import Reserved
from ipam.surroundings import UNUSABLE, Networks, blocks_of_hosts, interface_addresses
from net.address_range import lies_in

CONTEXT_KINDS = (IPAMConfig, IPPool, IPReservation, Node, BlockAffinity)
"""The kinds that a context is made of."""

R = TypeVar("R", bound=Resource)

_DEFAULT = "default"
_ALWAYS = {version: Reserved.of(UNUSABLE, version) for version in (4, 6)}


class HostContext(Struct, frozen=True):
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


class _NodeFacts(NamedTuple):
    """What of a Node matters to a choice of addresses."""

    interfaces: tuple[Interface, ...]
    labels: Mapping[str, str]

    @classmethod
    def of(cls, node: Node) -> _NodeFacts:
        found = (interface for interface in (node.ipv4, node.ipv6) if interface is not None)
        return cls(tuple(found), dict(node.labels))


Concerned: TypeAlias = tuple[str, ...]
"""Hosts whose context has changed."""
EVERY_HOST: Concerned = ("*",)


class _Reported:
    """The records of CONTEXT_KINDS as the watch reports them."""

    def __init__(self) -> None:
        self.configs: dict[str, IPAMConfig] = {}
        self.unread_configs: set[str] = set()
        """Of which nothing is known."""
        self.pools: dict[str, IPPool] = {}
        self.reservations: dict[str, IPReservation] = {}
        self.nodes: dict[str, _NodeFacts] = {}
        self.affinities: dict[str, dict[str, BlockAffinity]] = {}
        """By host, and by name."""
        self._blocks_of_nodes: dict[str, Networks] | None = None  # None: since the pools changed nobody has asked
        self.claimed: dict[Network, set[str]] = {}
        """Every block that has an affinity, with their names."""
        self._hosts: dict[str, str] = {}

    def put(self, resource: Resource) -> Concerned | None:
        """Take in a record; return whom it concerns, None: nobody."""
        name = resource.name
        match resource:
            case Node():
                facts = _NodeFacts.of(resource)
                before, self.nodes[name] = self.nodes.get(name), facts
                moved = facts.interfaces != (before.interfaces if before else ())
                return EVERY_HOST if moved and self._update_blocks_of(name) else (name,)
            case BlockAffinity():
                before_host = self._remove_affinity(name)
                host = self._hosts[name] = resource.spec.node
                self.affinities.setdefault(host, {})[name] = resource
                self.claimed.setdefault(resource.network, set()).add(name)
                return tuple({host, before_host or host})
            case IPPool():
                self.pools[name] = resource
                self._blocks_of_nodes = None
            case IPReservation():
                self.reservations[name] = resource
            case IPAMConfig():
                self.configs[name] = resource
                self.unread_configs.discard(name)
            case _:
                return None
        return EVERY_HOST

    def remove(self, kind: type[Resource], name: str) -> Concerned | None:
        if kind is BlockAffinity:
            host = self._remove_affinity(name)
            return (host,) if host else None
        tables: dict[type[Resource], dict[str, Any]] = {
            Node: self.nodes,
            IPPool: self.pools,
            IPReservation: self.reservations,
            IPAMConfig: self.configs,
        }
        if kind not in tables:
            return None
        tables[kind].pop(name, None)
        if kind is IPAMConfig:
            self.unread_configs.discard(name)
        if kind is Node:
            return EVERY_HOST if self._update_blocks_of(name) else (name,)
        if kind is IPPool:
            self._blocks_of_nodes = None
        return EVERY_HOST

    def keep(self, kind: type[Resource], name: str) -> Concerned | None:
        """Take in that a record cannot be read: what was known of it holds, but a pool gives no more addresses."""
        if kind is IPPool:
            return self.remove(kind, name)
        if kind is IPAMConfig and name not in self.configs:
            self.unread_configs.add(name)
        return None

    def blocks_of_nodes(self) -> Iterable[Networks]:
        """Return of each Node the blocks that hold an address of it; of most there is none."""
        if self._blocks_of_nodes is None:
            found = {name: self._blocks_of(name) for name in self.nodes}
            self._blocks_of_nodes = {name: blocks for name, blocks in found.items() if blocks}
        return self._blocks_of_nodes.values()

    def _update_blocks_of(self, name: str) -> bool:
        """Look at one Node that came, moved or went; return whether the blocks that are left alone may be others."""
        known = self._blocks_of_nodes
        if known is None:
            return True
        before, now = known.pop(name, {}), self._blocks_of(name)
        if now:
            known[name] = now
        return before != now

    def _blocks_of(self, name: str) -> Networks:
        node = self.nodes.get(name)
        return _blocks_of_node(name, node.interfaces, _by_name(self.pools)) if node else {}

    def _remove_affinity(self, name: str) -> str | None:
        host = self._hosts.pop(name, None)
        if host is not None:
            cidr = self.affinities[host].pop(name).network
            self.claimed[cidr].discard(name)
            if not self.claimed[cidr]:
                del self.claimed[cidr]
            if not self.affinities[host]:
                del self.affinities[host]
        return host


class HostContexts:
    """The contexts of one store, by host."""

    def __init__(self, store: Store, affinities: Affinities) -> None:
        self._store = store
        self._affinities = affinities
        self._reads: Batcher[str, None, HostContext] = Batcher(self._read)
        self._reported = _Reported()
        self._in_sync = False
        self._cache: dict[str, HostContext] = {}
        self._avoided: Mapping[Address, str] = {}

    def avoid(self, hosts: Mapping[Address, str]) -> None:
        """Take these for addresses of hosts, beside those of Nodes: no block that holds one is claimed."""
        if hosts != self._avoided:
            self._avoided = hosts
            self._cache.clear()

    def on_event(self, event: WatchEvent) -> None:
        """Take in one event of a watch that includes CONTEXT_KINDS; other kinds are ignored.

        From its InSync on, nothing is read. Such a watch must not end before this process does.
        """
        concerned: Concerned | None = None
        match event:
            case InSync():
                self._in_sync = True
            case Changed(resource=resource):
                concerned = self._reported.put(resource)
            case Gone():
                concerned = self._reported.remove(event.kind, event.name)
            case Unreadable():
                concerned = self._reported.keep(event.kind, event.name)
        if concerned == EVERY_HOST:
            self._cache.clear()
        for host in concerned or ():
            self._cache.pop(host, None)

    async def of(self, host: str) -> HostContext:
        return self.known(host) or await self._reads.submit(host, None)

    def known(self, host: str) -> HostContext | None:
        """Return what a watch reports; None: there is none, it is not in sync yet, or knows no settings: to go by the
        usual ones could break the cluster's.
        """
        if not self._in_sync or _DEFAULT in self._reported.unread_configs:
            return None
        if host not in self._cache:
            self._cache[host] = self._as_reported(host)
        return self._cache[host]

    async def affinities(self, host: str) -> Sequence[BlockAffinity]:
        """Return a host's affinities: as the watch has reported them by now, else read anew."""
        return (await self.of(host)).affinities if self._in_sync else await self._affinities.of_host(host)

    def reported(self, host: str) -> set[Network]:
        """Return the blocks that the host has claimed, as the watch has reported them by now; none without a watch."""
        context = self.known(host)
        return {one.network for one in context.affinities} if context else set()

    def claimed(self) -> Collection[Network] | None:
        """Return every block that a host has claimed, as the watch has reported it by now; None: there is no watch."""
        return self._reported.claimed.keys() if self._in_sync else None

    async def cooldown_seconds(self) -> int:
        """Return how long a released address is not assigned again."""
        config = self._reported.configs.get(_DEFAULT) if self._in_sync else await self._config()
        return config.spec.ip_cooldown_seconds if config else 0

    def _as_reported(self, host: str) -> HostContext:
        reported = self._reported
        pools, node = _by_name(reported.pools), reported.nodes.get(host)
        return HostContext(
            reported.configs.get(_DEFAULT),
            pools,
            _by_name(reported.reservations),
            node.labels if node else {},
            tuple(one for one in _by_name(reported.affinities.get(host, {})) if is_listed(one, host)),
            self._blocks_of_hosts(pools, reported.blocks_of_nodes()),
        )

    async def _read(self, host: str, waiting: Sequence[None]) -> Sequence[HostContext]:
        pools = (await self._store.list(IPPool)).objects
        nodes = {node.name: _NodeFacts.of(node) for node in (await self._store.list(Node)).objects}
        context = HostContext(
            await self._config(),
            pools,
            (await self._store.list(IPReservation)).objects,
            nodes[host].labels if host in nodes else {},
            tuple(await self._affinities.of_host(host)),
            self._blocks_of_hosts(pools, (_blocks_of_node(name, one.interfaces, pools) for name, one in nodes.items())),
        )
        return [context] * len(waiting)

    def _blocks_of_hosts(self, pools: Iterable[IPPool], of_nodes: Iterable[Networks]) -> Networks:
        """Return the blocks that hold an address of a node or another host, and whose it is."""
        found = dict(blocks_of_hosts(pools, self._avoided))
        for network, whose in chain.from_iterable(blocks.items() for blocks in of_nodes):
            found.setdefault(network, whose)
        return found

    async def _config(self) -> IPAMConfig | None:
        return await found_or_none(self._store.get(IPAMConfig, _DEFAULT))


def _blocks_of_node(name: str, interfaces: Iterable[Interface], pools: Iterable[IPPool]) -> Networks:
    return blocks_of_hosts(pools, interface_addresses(interfaces, f'Node "{name}"'))


def _by_name(records: Mapping[str, R]) -> tuple[R, ...]:
    return tuple(record for _, record in sorted(records.items()))
