"""What a lab is made of: nodes, subnets, pods, pools and foreign speakers, read from a small YAML file.

Its first line is a comment that says what the lab shows. Pure: text in, frozen values out. Every fault is one sentence
that names the key it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from itertools import combinations, product
from typing import Any, TypeVar

import yaml
from msgspec import Struct

from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.fields import network_or_address

Network = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

# A node's name is also that of its port on the bridge, and a device name holds 15 bytes.
NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
IPIP_MODES = ("Never", "Always", "CrossSubnet")
SPEAKERS = ("bird", "frr", "gobgp")
MOST_PODS = 500


class SpecError(ValueError):
    """The spec cannot be built; the message says which key, and what it may hold."""


class Subnet(Struct, frozen=True):
    """One bridge. The router has the last address of each family and joins it to the other subnets."""

    name: str
    networks: tuple[Network, ...]

    @property
    def gateways(self) -> tuple[Interface, ...]:
        return tuple(_interface(network, network.num_addresses - 2) for network in self.networks)


class ExpectedRefusal(Struct, frozen=True):
    """How many of a node's pods the plugin is expected to refuse, and words of the error it gives."""

    pods: int
    error: str


class LabNodeSpec(Struct, frozen=True):
    """One node of the cluster: its place on a subnet, its agent's environment, and how many pods it starts with."""

    name: str
    subnet: str
    addresses: tuple[Interface, ...]
    pods: int
    settings: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    refusal: ExpectedRefusal | None = None


class PeerSpec(Struct, frozen=True):
    """A real BIRD, FRR or GoBGP that every node peers with, outside the cluster."""

    name: str
    subnet: str
    addresses: tuple[Interface, ...]
    as_number: int
    networks: tuple[Network, ...] = ()
    speaker: str = "bird"

    @property
    def router_id(self) -> str:
        """Its IPv4 address, else one that is in no subnet."""
        return next((str(address.ip) for address in self.addresses if address.version == 4), "203.0.113.1")

    def sessions(self, nodes: Iterable[LabNodeSpec]) -> Iterator[SpeakerSession]:
        """Yield its sessions with these nodes: one in each family that both have addresses of."""
        for node in nodes:
            for ours, theirs in product(self.addresses, node.addresses):
                if ours.version == theirs.version:
                    far = theirs.ip not in ours.network and self.as_number != DEFAULT_AS_NUMBER
                    yield SpeakerSession(node.name, ours, theirs, multihop=far)


class SpeakerSession(Struct, frozen=True):
    """One session of a speaker with a node, from the speaker's side. multihop: it is EBGP to another subnet."""

    node: str
    ours: Interface
    theirs: Interface
    multihop: bool


class LabSpec(Struct, frozen=True):
    """A whole lab. `resources` are records as `felixctl apply` takes them, pools and peers among them."""

    name: str
    subnets: tuple[Subnet, ...]
    nodes: tuple[LabNodeSpec, ...]
    peers: tuple[PeerSpec, ...] = ()
    resources: tuple[Mapping[str, Any], ...] = ()

    def subnet(self, name: str) -> Subnet:
        return next(subnet for subnet in self.subnets if subnet.name == name)

    @property
    def hosts(self) -> tuple[LabNodeSpec | PeerSpec, ...]:
        """Whatever has a port on a subnet, but for the router."""
        return self.nodes + self.peers

    @property
    def tunnels(self) -> bool:
        """True if a pool wants IPIP, which not every kernel has."""
        return any(
            each["kind"] == "IPPool" and each.get("spec", {}).get("ipipMode", "Never") != "Never"
            for each in self.resources
        )

    @property
    def pods(self) -> int:
        return sum(node.pods for node in self.nodes)

    @property
    def outside_networks(self) -> Mapping[str, frozenset[str]]:
        """What each node is to learn from the peers, by the node's name: their networks of the families it has."""
        return {
            node.name: frozenset(
                str(network)
                for peer in self.peers
                for network in peer.networks
                if network.version in {each.version for each in node.addresses}
                and network.version in {each.version for each in peer.addresses}
            )
            for node in self.nodes
        }

    @property
    def sessions(self) -> int:
        """How many sessions come up, each counted at both ends: the mesh, and every node with every peer.

        Two speakers have one session for each family that both have addresses of.
        """
        mesh = sum(_families(one, other) for one, other in combinations(self.nodes, 2))
        return 2 * (mesh + sum(_families(node, peer) for node, peer in product(self.nodes, self.peers)))


def _families(one: LabNodeSpec | PeerSpec, other: LabNodeSpec | PeerSpec) -> int:
    """Return how many families two speakers share."""
    return len({address.version for address in one.addresses} & {address.version for address in other.addresses})


def parse(text: str) -> LabSpec:
    """Return the lab that YAML `text` describes.

    Raises SpecError: not YAML, an unknown key, a bad value, an address outside its subnet or taken twice.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        at = f" (line {where.line + 1}, column {where.column + 1})" if where else ""
        raise SpecError(f"not YAML{at}: {getattr(error, 'problem', error)}") from None
    top = _mapping("the spec", document)
    _only(top, "the spec", "name", "subnets", "nodes", "pods", "pools", "peers", "resources")
    subnets = _unique("subnets", [_subnet(each) for each in _list(top, "subnets", [_DEFAULT_SUBNET])])
    plan = _AddressPlan(subnets)
    pods = _pods("pods", top.get("pods", 1))
    nodes = _unique("nodes", [_node(each, plan, pods) for each in _node_entries(top)])
    peers = _unique("peers", [_peer(each, plan) for each in _list(top, "peers", [])])
    _no_name_twice("nodes and peers", [node.name for node in nodes] + [peer.name for peer in peers])
    return LabSpec(
        name=_name("name", top.get("name", "lab")),
        subnets=subnets,
        nodes=nodes,
        peers=peers,
        resources=(*_pools(top), *_peerings(peers), *_labelled(nodes), *_resources(top)),
    )


def about(text: str) -> str:
    """Return the comment on a spec's first line, which says what the lab shows; "" if there is none."""
    first = text.partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def with_ipip(text: str, mode: str) -> str:
    """Return a spec's text with this ipipMode in all its IPv4 pools. Raises SpecError, as `parse` does."""
    if mode not in IPIP_MODES:
        raise SpecError(f"ipipMode {mode!r} is not one of {', '.join(IPIP_MODES)}")
    parse(text)
    top = yaml.safe_load(text)
    pools = top.setdefault("pools", [{"name": "pods", "cidr": "10.65.0.0/16", "natOutgoing": False}])
    for pool in pools:
        if ":" not in str(pool["cidr"]):
            pool["ipipMode"] = mode
    return yaml.safe_dump(top, sort_keys=False)


_DEFAULT_SUBNET = {"name": "fabric", "ipv4": "192.0.2.0/24"}


class _AddressPlan:
    """Hands out the addresses of the subnets, each once, in the order of the file."""

    def __init__(self, subnets: Iterable[Subnet]) -> None:
        self.subnets = {subnet.name: subnet for subnet in subnets}
        self._taken = {gateway.ip for subnet in subnets for gateway in subnet.gateways}

    def on(self, where: str, entry: Mapping[str, Any]) -> tuple[str, tuple[Interface, ...]]:
        """Return the subnet `entry` is on and its address in each family of it: as written, or the next free."""
        name = entry.get("subnet", next(iter(self.subnets)))
        if name not in self.subnets:
            raise SpecError(f"{where}.subnet: there is no subnet {name!r}; known: {', '.join(self.subnets)}")
        return name, tuple(self._place(where, entry, network) for network in self.subnets[name].networks)

    def _place(self, where: str, entry: Mapping[str, Any], network: Network) -> Interface:
        key = f"ipv{network.version}"
        address = self._written(where, key, entry[key], network) if key in entry else self._next(where, network)
        if address in self._taken:
            raise SpecError(f"{where}.{key}: {address} is taken already, by another node or by the router")
        self._taken.add(address)
        return ip_interface(f"{address}/{network.prefixlen}")

    def _next(self, where: str, network: Network) -> IPv4Address | IPv6Address:
        for offset in range(1, network.num_addresses - 1):
            if (address := network[offset]) not in self._taken:
                return address
        raise SpecError(f"{where}: subnet {network} has no address left")

    @staticmethod
    def _written(where: str, key: str, value: object, network: Network) -> IPv4Address | IPv6Address:
        try:
            address = ip_address(str(value))
        except ValueError:
            raise SpecError(f"{where}.{key}: {value!r} is not an IP address") from None
        if address not in network:
            raise SpecError(f"{where}.{key}: {address} does not lie in its subnet {network}")
        return address


def _node_entries(top: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield one mapping per node; `nodes: 3` stands for n1, n2 and n3 in turn on the subnets."""
    nodes = top.get("nodes")
    match nodes:
        case bool() | None:
            raise SpecError("nodes: say how many (nodes: 3) or list them (nodes: [{name: n1}, …])")
        case int() if 1 <= nodes <= 100:
            subnets = [each["name"] for each in _list(top, "subnets", [_DEFAULT_SUBNET])]
            yield from ({"name": f"n{i + 1}", "subnet": subnets[i % len(subnets)]} for i in range(nodes))
        case int():
            raise SpecError(f"nodes: {nodes} is not between 1 and 100")
        case [_, *_]:
            yield from (_mapping(f"nodes[{i}]", each) for i, each in enumerate(nodes))
        case _:
            raise SpecError("nodes: say how many (nodes: 3) or list at least one (nodes: [{name: n1}, …])")


def _subnet(entry: object) -> Subnet:
    values = _mapping("a subnet", entry)
    name = _name("subnets.name", values.get("name"))
    _only(values, f"subnets.{name}", "name", "ipv4", "ipv6")
    networks = tuple(_network(f"subnets.{name}", values, version) for version in (4, 6) if f"ipv{version}" in values)
    if not networks:
        raise SpecError(f"subnets.{name}: needs ipv4, ipv6 or both, as in ipv4: 192.0.2.0/24")
    return Subnet(name, networks)


def _network(where: str, values: Mapping[str, Any], version: int) -> Network:
    key = f"ipv{version}"
    network = _cidr(f"{where}.{key}", values[key])
    if network.version != version:
        raise SpecError(f"{where}.{key}: {network} is not IPv{version}")
    if network.num_addresses < 8:
        raise SpecError(f"{where}.{key}: {network} is too small for a router and two nodes; use /29 or wider")
    return network


def _node(entry: Mapping[str, Any], plan: _AddressPlan, pods: int) -> LabNodeSpec:
    name = _name("nodes.name", entry.get("name"))
    where = f"nodes.{name}"
    _only(entry, where, "name", "subnet", "ipv4", "ipv6", "pods", "settings", "labels", "refused")
    subnet, addresses = plan.on(where, entry)
    count = _pods(f"{where}.pods", entry.get("pods", pods))
    return LabNodeSpec(
        name=name,
        subnet=subnet,
        addresses=addresses,
        pods=count,
        settings=_texts(f"{where}.settings", entry.get("settings", {})),
        labels=_texts(f"{where}.labels", entry.get("labels", {})),
        refusal=_refusal(f"{where}.refused", entry["refused"], count) if "refused" in entry else None,
    )


def _refusal(where: str, value: object, most: int) -> ExpectedRefusal:
    values = _mapping(where, value)
    _only(values, where, "pods", "error")
    pods, error = _pods(f"{where}.pods", values.get("pods")), values.get("error")
    if not 0 < pods <= most:
        raise SpecError(f"{where}.pods: {pods} is not between 1 and the node's {most} pods")
    if not isinstance(error, str) or not error:
        raise SpecError(f"{where}.error: needs words of the error that is expected, as in error: forbids borrowing")
    return ExpectedRefusal(pods, error)


def _peer(entry: object, plan: _AddressPlan) -> PeerSpec:
    values = _mapping("a peer", entry)
    name = _name("peers.name", values.get("name"))
    where = f"peers.{name}"
    _only(values, where, "name", "subnet", "ipv4", "ipv6", "as", "networks", "speaker")
    speaker = values.get("speaker", SPEAKERS[0])
    if speaker not in SPEAKERS:
        raise SpecError(f"{where}.speaker: {speaker!r} is not one of {', '.join(SPEAKERS)}")
    number = values.get("as", DEFAULT_AS_NUMBER)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**32:
        raise SpecError(f"{where}.as: {number!r} is not an AS number between 1 and 4294967295")
    networks = tuple(_cidr(f"{where}.networks", each) for each in _list(values, "networks", []))
    subnet, addresses = plan.on(where, values)
    return PeerSpec(name, subnet, addresses, number, networks, speaker)


def _pools(top: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield an IPPool for each entry of `pools`; without any, the agents make their default pool."""
    for entry in _list(top, "pools", []):
        values = dict(_mapping("a pool", entry))
        name = values.pop("name", None)
        if not isinstance(name, str) or not name:
            raise SpecError("pools.name: every pool needs a name, as in {name: pods, cidr: 10.65.0.0/16}")
        _cidr(f"pools.{name}.cidr", values.get("cidr"))
        yield _record("IPPool", name, values)


def _peerings(peers: Iterable[PeerSpec]) -> Iterator[Mapping[str, Any]]:
    """Yield a global BGPPeer for each address of each peer: every node of the cluster dials it."""
    for peer in peers:
        for address in peer.addresses:
            yield _record(
                "BGPPeer", f"{peer.name}-ipv{address.version}", {"peerIP": str(address.ip), "asNumber": peer.as_number}
            )


def _labelled(nodes: Iterable[LabNodeSpec]) -> Iterator[Mapping[str, Any]]:
    """Yield a Node for each that has labels, as Kubernetes has it before the agent starts and adds its addresses."""
    for node in nodes:
        if node.labels:
            labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **dict(node.labels)}
            yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name, "labels": labels}}


def _resources(top: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for i, each in enumerate(_list(top, "resources", [])):
        resource = _mapping(f"resources[{i}]", each)
        if not isinstance(resource.get("kind"), str) or not isinstance(resource.get("metadata"), dict):
            raise SpecError(f"resources[{i}]: needs apiVersion, kind and metadata, as felixctl apply takes them")
        yield resource


def _record(kind: str, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


T = TypeVar("T", Subnet, LabNodeSpec, PeerSpec)


def _unique(where: str, values: list[T]) -> tuple[T, ...]:
    _no_name_twice(where, [value.name for value in values])
    return tuple(values)


def _no_name_twice(where: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SpecError(f"{where}: the name {twice[0]!r} is used twice")


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: must be a mapping of keys to values, not {_shown(value)}")
    return value


def _list(values: Mapping[str, Any], key: str, default: list[Any]) -> list[Any]:
    value = values.get(key, default)
    if not isinstance(value, list):
        raise SpecError(f"{key}: must be a list, not {_shown(value)}")
    return value


def _only(values: Mapping[str, Any], where: str, *known: str) -> None:
    if unknown := sorted(str(key) for key in values if key not in known):
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; it may hold {', '.join(known)}")


def _name(where: str, value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise SpecError(f"{where}: {value!r} must be 1 to 12 of a-z, 0-9 and -, and start with a letter")
    return value


def _pods(where: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_PODS:
        raise SpecError(f"{where}: {value!r} is not a number of pods between 0 and {MOST_PODS}")
    return value


def _texts(where: str, value: object) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), str(text)) for key, text in _mapping(where, value).items())


def _cidr(where: str, value: object) -> Network:
    try:
        return network_or_address(str(value))
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None


def _interface(network: Network, offset: int) -> Interface:
    return ip_interface(f"{network[offset]}/{network.prefixlen}")


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:40]
