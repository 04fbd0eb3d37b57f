"""What a node states to its peers, from its snapshot; and when a sidecar that is away limits the pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import AF_INET
from typing import Any

import pytest

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable
from felix_py.identity import Addresses, Identity
from felix_py.peering.bgp_secrets import BgpSecrets
from felix_py.peering.peering import SIDECAR_PATIENCE_SECONDS, Peering
from felix_py.snapshot import Endpoint, Snapshot
from felix_py.topics import Topic
from kernel.link_codec import InterfaceAddress
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import BLOCK, BORROWED, affinity, endpoint, node, pool
from tests.felix_py.fakes import FakePeers
from tests.felix_py.secrets_store import LACKING, NOWHERE, SecretsStore, secret

NO_MESH = BGPConfiguration.make("default", nodeToNodeMeshEnabled=False)


class Stating:
    """A node's peering over its snapshot, with a clock that a test moves."""

    def __init__(self, *resources: Resource, store: SecretsStore | None = None) -> None:
        self.now, self.peers, self.snapshot = 1000.0, FakePeers(), Snapshot("n1")
        for resource in (node(), pool(), affinity(), *resources):
            self.snapshot.fold(Changed(resource))
        self.snapshot.fold(InSync())
        identity = Identity("n1", Addresses(pack("192.0.2.1"), None))
        self.secrets_changed = asyncio.Event()
        changed = self.secrets_changed.set
        secrets = None if store is None else BgpSecrets(store, "kube-system", changed, NOWHERE)
        self.peering = Peering(self.peers, identity, self.snapshot, lambda: self.now, secrets)

    @asynccontextmanager
    async def following_secrets(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.peering.follow_secrets())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def state_sessions(self) -> None:
        """State the sessions, and again when something new is known of the Secrets that they name."""
        self.secrets_changed.clear()
        await self.peering.configure()
        await self.secrets_changed.wait()
        await self.peering.configure()


async def test_sessions_stay_as_they_are_while_nothing_is_known_of_what_the_cluster_has_configured() -> None:
    one = Stating()
    unread = Unreadable(BGPConfiguration, "default", None, "spec.asNumber 0 is reserved (RFC 7607)")
    assert one.snapshot.fold(unread) is Topic.NOTHING
    await one.peering.configure()
    assert one.peers.speaker is None
    assert one.snapshot.fold(Gone(BGPConfiguration, "default", None, None)) is Topic.BGP
    await one.peering.configure()
    assert one.peers.speaker is not None and one.peers.speaker.local.own_as == 64512


async def test_what_was_known_of_what_the_cluster_has_configured_holds_while_it_cannot_be_read() -> None:
    one = Stating(BGPConfiguration.make("default", as_number=64999))
    one.snapshot.fold(Unreadable(BGPConfiguration, "default", None, "spec.asNumber 0 is reserved (RFC 7607)"))
    await one.peering.configure()
    assert one.peers.speaker is not None and one.peers.speaker.local.own_as == 64999


@pytest.mark.parametrize("field", ["nodeSelector", "peerSelector"])
async def test_a_peer_whose_selector_cannot_be_read_has_no_session_whether_or_not_it_was_read_before(
    field: str,
) -> None:
    """Else the session would last until the agent is restarted, and be missed then."""
    remote: dict[str, Any] = {"peerIP": "192.0.2.9", "asNumber": 65001} if field == "nodeSelector" else {}
    good, bad = (BGPPeer.make("tor", **remote | {field: text}) for text in ("all()", "has(rack"))
    edited, started = (
        Stating(node("n2", "192.0.2.2/24"), NO_MESH, good),
        Stating(node("n2", "192.0.2.2/24"), NO_MESH, bad),
    )
    await edited.peering.configure()
    assert edited.peers.speaker is not None and len(edited.peers.speaker.neighbours) == 1
    assert edited.snapshot.fold(Changed(bad)) is Topic.BGP
    for one in (edited, started):
        await one.peering.configure()
        assert one.peers.speaker is not None and not one.peers.speaker.neighbours
    assert edited.peers.speaker == started.peers.speaker


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


ROUTER = BGPPeer.make("tor", peerIP="192.0.2.90", password={"secretKeyRef": {"name": "bgp", "key": "rack1"}})


def passwords(one: Stating) -> dict[str, str | None]:
    assert one.peers.speaker is not None
    return {neighbour.address: neighbour.password for neighbour in one.peers.speaker.neighbours}


async def test_sessions_stay_as_they_are_until_their_secret_has_been_answered_for() -> None:
    store = SecretsStore(secret())
    store.answers.clear()
    one = Stating(ROUTER, store=store)
    async with one.following_secrets():
        await one.peering.configure()
        assert one.peers.speaker is None
        store.answers.set()
        await one.secrets_changed.wait()
        await one.peering.configure()
        assert passwords(one) == {"192.0.2.90": "s3cret"}


async def test_a_session_whose_secret_is_another_is_held_back_until_that_can_be_read() -> None:
    """Though its last password is known, and though the other Secret cannot be read."""
    store = SecretsStore(secret())
    one = Stating(ROUTER, store=store)
    async with one.following_secrets():
        await one.state_sessions()
        assert passwords(one) == {"192.0.2.90": "s3cret"}
        store.locked.set()
        other = {"secretKeyRef": {"name": "bgp2", "key": "rack1"}}
        one.snapshot.fold(Changed(BGPPeer.make("tor", peerIP="192.0.2.90", password=other)))
        await one.state_sessions()
        assert passwords(one) == {}
        assert one.peers.speaker is not None
        [held_back] = one.peers.speaker.held_back
        assert held_back.reason == f"Secret kube-system/bgp2 cannot be read: {LACKING}"
        assert [(notice.name, notice.field) for notice in one.peering.notices] == [("tor", "spec.password")]


async def test_without_a_source_of_secrets_a_session_with_a_password_is_held_back() -> None:
    one = Stating(ROUTER)
    await one.peering.configure()
    assert passwords(one) == {} and one.peers.speaker is not None
    assert [each.address for each in one.peers.speaker.held_back] == ["192.0.2.90"]


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
