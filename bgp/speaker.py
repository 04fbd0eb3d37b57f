"""This node's BGP sessions, announcements and learned routes, as values that the agent and the sidecar share.

Pure: no I/O, no clock, no logging, no pydantic (the sidecar stays small). A session is named by the canonical
text of its peer's address everywhere; next hops and router ids are packed bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict

from net.family import Family
from net.prefix import Prefix, pack, unpack

SessionKind = Literal["mesh", "node", "global"]
Origin = Literal["igp", "egp", "incomplete", "invalid"]

# As a Calico node sends it: 2^31 - 1 - 1024, the mirror of its kernel routes' metric. The usual 100 would lose.
LOCAL_PREFERENCE = 2147482623
DEFAULT_PREFIX_LIMIT = 20000  # a cluster of 5,000 nodes, each with some blocks and borrowed addresses


class ImportPolicy(Struct, frozen=True):
    """What one peer may send. Filters by peer are to be part of it.

    prefix_limit: how many paths are kept; bgp/limits.py derives its other limits. own_as_allowed: how often our own AS
    may stand in a path (BGPPeer numAllowedLocalASNumbers). default_route: whether a default route is taken.
    inside_subnet: whether networks inside a connected network of the node are.
    """

    prefix_limit: int = DEFAULT_PREFIX_LIMIT
    own_as_allowed: int = 0
    default_route: bool = False
    inside_subnet: bool = False


class Neighbour(Struct, frozen=True):
    """One session as configured. Exactly one end of each is passive: two that dial collide for seconds."""

    address: str
    local_address: str
    peer_as: int
    local_as: int
    kind: SessionKind = "mesh"
    is_node: bool = True
    passive: bool = False
    families: tuple[Family, ...] = ("ipv4", "ipv6")
    port: int = 179
    password: str | None = None
    hold_time: int = 90
    restart_time: int = 120
    ttl_hops: int | None = None
    import_policy: ImportPolicy = ImportPolicy()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "families": list(self.families), "import_policy": asdict(self.import_policy)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Neighbour:
        policy = ImportPolicy(**record["import_policy"])
        return cls(**{**record, "families": tuple(record["families"]), "import_policy": policy})

    def __repr__(self) -> str:
        # The password must not reach a log through a value that is printed.
        shown = (f"{name}={value!r}" for name, value in asdict(self).items() if name != "password")
        return f"Neighbour({', '.join(shown)}, password={'***' if self.password else None})"


class LocalNode(Struct, frozen=True):
    """What every learned route is compared with: who this node is, and which networks are its own.

    hosts: the addresses of all nodes and of all peers. connected: the networks that this node's addresses are in.
    owners: which node's addresses a block or a borrowed address of another node leads to. nodes: those of all others.
    services: the ranges of services that nodes announce.
    """

    own_as: int
    router_id: bytes
    own_addresses: frozenset[bytes] = frozenset()
    own_blocks: tuple[Prefix, ...] = ()
    pools: tuple[Prefix, ...] = ()
    hosts: frozenset[bytes] = frozenset()
    connected: tuple[Prefix, ...] = ()
    owners: tuple[tuple[Prefix, tuple[bytes, ...]], ...] = ()
    nodes: frozenset[bytes] = frozenset()
    services: tuple[Prefix, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "own_as": self.own_as,
            "router_id": unpack(self.router_id),
            "own_addresses": sorted(map(unpack, self.own_addresses)),
            "own_blocks": list(map(str, self.own_blocks)),
            "pools": list(map(str, self.pools)),
            "hosts": sorted(map(unpack, self.hosts)),
            "connected": list(map(str, self.connected)),
            "owners": [[str(prefix), list(map(unpack, addresses))] for prefix, addresses in self.owners],
            "nodes": sorted(map(unpack, self.nodes)),
            "services": list(map(str, self.services)),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> LocalNode:
        return cls(
            own_as=record["own_as"],
            router_id=pack(record["router_id"]),
            own_addresses=frozenset(map(pack, record["own_addresses"])),
            own_blocks=tuple(map(Prefix.parse, record["own_blocks"])),
            pools=tuple(map(Prefix.parse, record["pools"])),
            hosts=frozenset(map(pack, record["hosts"])),
            connected=tuple(map(Prefix.parse, record["connected"])),
            owners=tuple((Prefix.parse(prefix), tuple(map(pack, found))) for prefix, found in record["owners"]),
            nodes=frozenset(map(pack, record["nodes"])),
            services=tuple(map(Prefix.parse, record["services"])),
        )


class HeldBackSession(Struct, frozen=True):
    """A session that is configured and must not come up, because part of its configuration cannot be honoured."""

    address: str
    peer_as: int
    kind: SessionKind
    reason: str


class Speaker(Struct, frozen=True):
    """This node as a BGP speaker: its identity, where it listens, and its sessions."""

    name: str
    router_id: bytes
    listen: tuple[str, ...]
    port: int
    neighbours: tuple[Neighbour, ...]
    local: LocalNode
    held_back: tuple[HeldBackSession, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "router_id": unpack(self.router_id),
            "listen": list(self.listen),
            "port": self.port,
            "neighbours": [neighbour.to_json() for neighbour in self.neighbours],
            "local": self.local.to_json(),
            "held_back": [asdict(session) for session in self.held_back],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Speaker:
        return cls(
            name=record["name"],
            router_id=pack(record["router_id"]),
            listen=tuple(record["listen"]),
            port=record["port"],
            neighbours=tuple(map(Neighbour.from_json, record["neighbours"])),
            local=LocalNode.from_json(record["local"]),
            held_back=tuple(HeldBackSession(**session) for session in record["held_back"]),
        )


class AsPathSegment(NamedTuple):
    """One segment of an AS path (RFC 4271 §4.3)."""

    kind: Literal["sequence", "set"]
    numbers: tuple[int, ...]


class UnknownAttribute(NamedTuple):
    """An attribute that is not interpreted here, to be passed on if it is transitive (RFC 4271 §5)."""

    code: int
    flags: int
    value: bytes


class Attributes(Struct, frozen=True):
    """The path attributes of an announcement; prefixes that share them share the object.

    `next_hop` is empty where a peer sent none, `origin` None likewise: what that means the import
    filter decides.
    """

    next_hop: bytes
    local_preference: int | None = LOCAL_PREFERENCE
    origin: Origin | None = "igp"
    as_path: tuple[AsPathSegment, ...] = ()
    med: int | None = None
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    extended_communities: tuple[int, ...] = ()
    originator_id: bytes | None = None
    cluster_list: tuple[bytes, ...] = ()
    atomic_aggregate: bool = False
    aggregator: str | None = None
    unknown: tuple[UnknownAttribute, ...] = ()

    @property
    def as_path_length(self) -> int:
        """Return the length that best path compares: a set counts as one (RFC 4271 §9.1.2.2)."""
        return sum(len(segment.numbers) if segment.kind == "sequence" else 1 for segment in self.as_path)

    def to_json(self) -> dict[str, Any]:
        """Return only what differs from the default: a RIB-out is mostly next hops."""
        record: dict[str, Any] = {"next_hop": unpack(self.next_hop) if self.next_hop else ""}
        for name, default in _DEFAULTS:
            value = getattr(self, name)
            if value != default:
                record[name] = _PLAIN.get(name, _same)(value)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Attributes:
        rich = {name: _RICH.get(name, _same)(value) for name, value in record.items() if name != "next_hop"}
        return cls(pack(record["next_hop"]) if record["next_hop"] else b"", **rich)


class LearnedPath(NamedTuple):
    """One of the best paths to a prefix: the router it leads through, and the peer that announced it."""

    next_hop: bytes
    peer: str


LearnedPaths: TypeAlias = tuple[LearnedPath, ...]
Announcements: TypeAlias = Mapping[Prefix, Attributes]


def announcements_to_json(announcements: Announcements) -> list[dict[str, Any]]:
    """Return the announcements grouped by attributes: `[{"attributes": {…}, "prefixes": [...]}]`."""
    groups: dict[Attributes, list[str]] = {}
    for prefix, attributes in announcements.items():
        groups.setdefault(attributes, []).append(str(prefix))
    return [{"attributes": attributes.to_json(), "prefixes": prefixes} for attributes, prefixes in groups.items()]


def announcements_from_json(record: list[dict[str, Any]]) -> dict[Prefix, Attributes]:
    announcements: dict[Prefix, Attributes] = {}
    for group in record:
        attributes = Attributes.from_json(group["attributes"])
        announcements.update((Prefix.parse(text), attributes) for text in group["prefixes"])
    return announcements


def _same(value: Any) -> Any:
    return value


_DEFAULTS = tuple(zip(Attributes.__struct_fields__[1:], Attributes.__struct_defaults__, strict=True))
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "as_path": lambda path: [[kind, list(numbers)] for kind, numbers in path],
    "originator_id": unpack,
    "cluster_list": lambda ids: list(map(unpack, ids)),
    "unknown": lambda attributes: [[code, flags, value.hex()] for code, flags, value in attributes],
}
_RICH: dict[str, Callable[[Any], Any]] = {
    "as_path": lambda path: tuple(AsPathSegment(kind, tuple(numbers)) for kind, numbers in path),
    "communities": lambda values: tuple(map(tuple, values)),
    "large_communities": lambda values: tuple(map(tuple, values)),
    "extended_communities": tuple,
    "originator_id": pack,
    "cluster_list": lambda ids: tuple(map(pack, ids)),
    "unknown": lambda attributes: tuple(UnknownAttribute(c, f, bytes.fromhex(v)) for c, f, v in attributes),
}
