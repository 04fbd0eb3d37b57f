"""What this node's BGP sessions follow from: every Node, and what is configured for all or some of them.

Pure. For the agent only: it reads pydantic resources, which the sidecar's process does without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from msgspec import Struct, field

from datastore.defaults import DEFAULT_AS_NUMBER
from datastore.kinds.bgp import BGPConfiguration, BGPPeer, Password
from datastore.kinds.node import Node
from net.family import Family
from net.prefix import Prefix

DEFAULT_PORT = 179


class PeeringInputs(Struct, frozen=True):
    """Every node, and what is agreed among them."""

    nodes: tuple[Node, ...]
    configuration: BGPConfiguration | None = None
    node_configurations: Mapping[str, BGPConfiguration] = field(default_factory=dict)
    interfaces: tuple[IPv4Interface | IPv6Interface, ...] = ()

    def source_to(self, peer: IPv4Address | IPv6Address) -> str | None:
        """Return our address in the narrowest connected network that the peer is in, as the kernel would choose it."""
        near = [each for each in self.interfaces if each.version == peer.version and peer in each.network]
        return str(max(near, key=lambda each: each.network.prefixlen).ip) if near else None

    def as_of(self, node: Node) -> int:
        if node.as_number is not None:
            return node.as_number
        return self.cluster_as

    @property
    def cluster_as(self) -> int:
        return DEFAULT_AS_NUMBER if self.configuration is None else self.configuration.as_number

    def port_of(self, name: str) -> int:
        """Return where a node listens: its own setting, else the cluster's."""
        own = self.node_configurations.get(name)
        if own is not None and "listen_port" in own.spec.model_fields_set:
            return own.spec.listen_port
        return DEFAULT_PORT if self.configuration is None else self.configuration.spec.listen_port

    def peer_as(self, peer: BGPPeer) -> int:
        """Return the AS of a BGPPeer with an address: its own setting, else that of the node there, else ours."""
        node = self.node_at(str(peer.address))
        return peer.as_number or (self.cluster_as if node is None else self.as_of(node))

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)

    def node_at(self, address: str) -> Node | None:
        return next((node for node in self.nodes if address in addresses(node).values()), None)

    def addresses(self) -> Iterator[str]:
        """Yield the address of every node in each of its families."""
        for node in self.nodes:
            yield from addresses(node).values()

    def mesh_password(self) -> Password | None:
        return None if self.configuration is None else self.configuration.spec.node_mesh_password

    def services(self) -> tuple[Prefix, ...]:
        """Return the ranges of services, in order."""
        found = () if self.configuration is None else self.configuration.service_ranges()
        return tuple(sorted({Prefix.of(str(cidr)) for _, cidr in found}))

    def has_mesh(self) -> bool:
        return self.configuration is None or self.configuration.spec.node_to_node_mesh_enabled


def addresses(node: Node) -> dict[Family, str]:
    """Return the addresses at which a node speaks BGP, in canonical text."""
    found: dict[Family, str] = {}
    if (ipv4 := node.ipv4) is not None:
        found["ipv4"] = str(ipv4.ip)
    if (ipv6 := node.ipv6) is not None:
        found["ipv6"] = str(ipv6.ip)
    return found
