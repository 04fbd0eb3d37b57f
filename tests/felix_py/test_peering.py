"""What a node states to its peers, from its snapshot; and when a sidecar that is away limits the pods."""

from __future__ import annotations

from socket import AF_INET

from datastore.kinds.bgp import BGPPeer
from datastore.record import Resource
from datastore.store import Changed, InSync
from felix_py.identity import Addresses, Identity
from felix_py.peering import SIDECAR_PATIENCE_SECONDS, Peering
from felix_py.snapshot import Endpoint, Snapshot
from kernel.link_codec import InterfaceAddress
from net.prefix import Prefix, pack
from tests.felix_py.fakes import FakePeers
from tests.felix_py.node import BLOCK, BORROWED, affinity, endpoint, node, pool


class Stating:
    """A node's peering over its snapshot, with a clock that a test moves."""

    def __init__(self, *resources: Resource) -> None:
        self.now, self.peers, self.snapshot = 1000.0, FakePeers(), Snapshot("n1")
        for resource in (node(), pool(), affinity(), *resources):
            self.snapshot.fold(Changed(resource))
        self.snapshot.fold(InSync())
        identity = Identity("n1", Addresses(pack("192.0.2.1"), None))
        self.peering = Peering(self.peers, identity, self.snapshot, lambda: self.now)


async def test_it_announces_its_blocks_and_what_it_borrowed_with_itself_as_next_hop() -> None:
    one = Stating()
    one.snapshot.attach(Endpoint.of(endpoint("10.65.9.9/32")))
    await one.peering.announce()
    assert set(one.peers.announced) == {BLOCK, BORROWED}
    assert {attributes.next_hop for attributes in one.peers.announced.values()} == {pack("192.0.2.1")}
    assert one.peering.borrowed() == [BORROWED]


async def test_a_borrowed_address_of_its_tunnel_is_announced_too() -> None:
    one = Stating(node(**{"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.8.8"}))
    await one.peering.announce()
    assert Prefix.parse("10.65.8.8/32") in one.peers.announced


async def test_it_peers_with_the_mesh_and_knows_its_own_blocks_and_pools() -> None:
    one = Stating(node("n2", "192.0.2.2/24"))
    await one.peering.configure()
    speaker = one.peers.speaker
    assert speaker is not None
    assert [neighbour.address for neighbour in speaker.neighbours] == ["192.0.2.2"]
    assert speaker.local.own_blocks == (BLOCK,)
    assert speaker.local.pools == (Prefix.parse("10.65.0.0/16"),)


async def test_it_tells_the_import_filter_whose_the_other_blocks_are() -> None:
    one = Stating(node("n2", "192.0.2.2/24"), BGPPeer.make("rr", peerIP="192.0.2.90", asNumber=64512))
    theirs = Prefix.parse("10.65.2.0/26")
    await one.peering.configure({theirs: "n2"})
    assert one.peers.speaker is not None
    assert one.peers.speaker.local.owners == ((theirs, (pack("192.0.2.2"),)),)


async def test_a_bgppeer_that_yields_no_session_is_a_notice() -> None:
    one = Stating(BGPPeer.make("six", peerIP="fd00::9", asNumber=64512))
    await one.peering.configure()
    assert [notice.name for notice in one.peering.notices] == ["six"]


def test_a_sidecar_that_restarts_is_no_limitation_and_one_that_stays_away_is() -> None:
    one = Stating()
    assert one.peering.limitation() is None
    one.peering.disconnected()
    one.now += SIDECAR_PATIENCE_SECONDS - 1
    assert one.peering.limitation() is None
    one.now += 1
    assert "the BGP sidecar is away" in (one.peering.limitation() or "")
    one.peering.connected()
    assert one.peering.limitation() is None


async def test_a_bgppeer_without_source_address_has_the_hosts_own_in_its_network() -> None:
    one = Stating(BGPPeer.make("tor", peerIP="198.51.100.98", asNumber=64600, sourceAddress="None"))
    near = InterfaceAddress(2, pack("198.51.100.1"), 24, AF_INET, 0)
    await one.peering.configure({}, [near, InterfaceAddress(2, pack("198.51.100.2"), 28, AF_INET, 253)])
    assert one.peers.speaker is not None
    assert [each.local_address for each in one.peers.speaker.neighbours] == ["198.51.100.1"]
