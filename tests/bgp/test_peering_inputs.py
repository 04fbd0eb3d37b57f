"""What sessions follow from: who has which AS, port and address, and where a session would start."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

from bgp.peering_inputs import DEFAULT_PORT, PeeringInputs, addresses
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from tests.bgp.cluster_nodes import MESHLESS, node, nodes


def test_a_node_speaks_at_its_addresses_in_canonical_text() -> None:
    assert addresses(node("a", "10.0.0.1", "FD00:0::1")) == {"ipv4": "10.0.0.1", "ipv6": "fd00::1"}
    assert addresses(node("bare")) == {}


def test_a_port_and_an_as_are_the_nodes_own_else_the_clusters_else_the_usual() -> None:
    own = node("n2", "10.0.0.2", ASNumber="65100")
    alone = PeeringInputs((*nodes(1), own))
    assert (alone.port_of("n1"), alone.as_of(nodes(1)[0]), alone.as_of(own)) == (DEFAULT_PORT, 64512, 65100)
    configured = PeeringInputs(
        (*nodes(1), own),
        BGPConfiguration.make("default", listenPort=1790, asNumber="65001"),
        {"n2": BGPConfiguration.make("node.n2", listenPort=1799), "n1": BGPConfiguration.make("node.n1")},
    )
    assert [configured.port_of(name) for name in ("n1", "n2", "n3")] == [1790, 1799, 1790]
    assert configured.peer_as(BGPPeer.make("there", peerIP="10.0.0.2")) == 65100
    assert configured.peer_as(BGPPeer.make("router", peerIP="192.0.2.9")) == 65001


def test_a_session_starts_in_the_narrowest_network_that_its_peer_is_in() -> None:
    texts = ("10.0.0.1/24", "10.0.0.129/25", "fd00::1/64")
    inputs = PeeringInputs((), interfaces=tuple(ip_interface(text) for text in texts))
    peers = ("10.0.0.200", "10.0.0.9", "fd00::9", "192.0.2.9")
    assert [inputs.source_to(ip_address(peer)) for peer in peers] == ["10.0.0.129", "10.0.0.1", "fd00::1", None]


def test_there_is_a_mesh_unless_it_is_switched_off() -> None:
    assert PeeringInputs(()).has_mesh() and not PeeringInputs((), MESHLESS).has_mesh()
