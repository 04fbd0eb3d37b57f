"""Which tunnel addresses a node has."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest

from datastore.errors import Invalid, Unavailable
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Unreadable
from datastore.watch import key_of
from ipam.allocator import AddressesWanted, Allocator
from ipam.errors import BadPool, Exhausted
from ipam.tunnel_pools import tunnel_handle
from ipam.tunnels import TunnelAddresses
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, owners, pool

IPIP = pool("ipip", "10.65.0.0/24", ipip_mode="Always")


VXLAN = pool("vxlan", "10.66.0.0/24", vxlan_mode="CrossSubnet")


SIX = pool("six", "fd00:66::/64", vxlan_mode="Always")


PLAIN = pool("plain", "10.67.0.0/24")


def tunnels(store: MemoryStore) -> TunnelAddresses:
    return TunnelAddresses(store, Allocator(store), "n1")


async def test_where_pods_have_addresses_of_the_pod_cidr_so_has_the_tunnel() -> None:
    """Its first, as Calico's: a block of IPAM's in the same network would be announced beside another node's pods."""
    store = MemoryStore(Node.make("n1", podCIDRs=["fd00:1::/64", "10.65.0.0/25"]), IPIP)
    addresses = TunnelAddresses(store, Allocator(store), "n1", of_pod_cidrs=True)
    for _ in range(2):
        assert await addresses.update(("ipip",)) == {"ipip": ip_address("10.65.0.1")}
    assert str((await store.get(Node, "n1")).tunnel_address("ipip")) == "10.65.0.1"
    assert (await store.list(IPAMBlock)).objects == ()
    await store.delete(await store.get(IPPool, IPIP.name))
    assert await addresses.update(("ipip",)) == {}
    assert (await store.get(Node, "n1")).tunnel_address("ipip") is None


async def test_each_kind_of_tunnel_has_its_address_in_an_annotation_of_the_node() -> None:
    store = MemoryStore(node("n1"), IPIP, VXLAN, SIX, PLAIN)
    found = await tunnels(store).update()
    assert {kind: str(address)[:5] for kind, address in found.items()} == {
        "ipip": "10.65",
        "vxlan": "10.66",
        "vxlan-v6": "fd00:",
    }
    [one] = (await store.list(Node)).objects
    assert {kind: one.tunnel_address(kind) for kind in found} == found
    assert await owners(store) == {address: tunnel_handle(kind, "n1") for kind, address in found.items()}
    before = store.calls["write IPAMBlock"]
    assert await tunnels(store).update() == found
    assert store.calls["write IPAMBlock"] == before


async def test_wireguard_has_an_address_once_it_has_a_key() -> None:
    store = MemoryStore(node("n1"), PLAIN)
    assert await tunnels(store).update() == {}
    [one] = (await store.list(Node)).objects
    await store.update(one.with_data(WireguardPublicKey="a2V5"))
    assert list(await tunnels(store).update()) == ["wireguard"]


async def test_the_address_of_a_tunnel_that_no_pool_wants_any_more_is_released() -> None:
    store = MemoryStore(node("n1"), IPIP)
    await tunnels(store).update()
    [only] = (await store.list(IPPool)).objects
    await store.update(only.with_spec(ipip_mode="Never"))
    assert await tunnels(store).update() == {}
    [one] = (await store.list(Node)).objects
    assert one.metadata.annotations == {}
    assert await owners(store) == {}


async def test_an_address_assigned_to_another_handle_is_replaced() -> None:
    noted = node("n1").with_data(IPv4IPIPTunnelAddr="10.65.0.7")
    store = MemoryStore(noted, IPIP)
    await Allocator(store).assign_address(ip_address("10.65.0.7"), AddressesWanted("n1", "net.pod"))
    found = await tunnels(store).update()
    assert found["ipip"] != ip_address("10.65.0.7")
    assert (await owners(store))[ip_address("10.65.0.7")] == "net.pod"


async def test_an_address_outside_the_pools_of_the_tunnel_is_replaced() -> None:
    store = MemoryStore(node("n1"), IPIP)
    first = (await tunnels(store).update())["ipip"]
    [only] = (await store.list(IPPool)).objects
    await store.update(only.with_spec(node_selector="has(rack)"))
    await store.create(pool("other", "10.68.0.0/24", ipip_mode="Always"))
    second = (await tunnels(store).update())["ipip"]
    assert str(second).startswith("10.68.") and list(await owners(store)) == [second]
    assert first != second


async def test_an_address_that_could_not_be_written_to_the_node_is_released() -> None:
    class NodeAway(MemoryStore):
        async def patch(self, kind: Any, name: str, patch: Mapping[str, Any], namespace: str | None = None) -> Any:
            raise Unavailable("the store does not answer")

    store = NodeAway(node("n1"), IPIP)
    with pytest.raises(Unavailable):
        await tunnels(store).update()
    assert await owners(store) == {}


async def test_a_full_pool_is_a_sentence_that_names_the_tunnel() -> None:
    store = MemoryStore(node("n1"), pool("tiny", "10.65.0.0/32", block_size=32, ipip_mode="Always"))
    await Allocator(store).assign(AddressesWanted("n1", "net.pod"))
    with pytest.raises(Exhausted, match="ipip-tunnel-addr-n1 on node n1"):
        await tunnels(store).update()


async def test_an_address_is_not_released_because_its_pool_has_a_fault() -> None:
    store = MemoryStore(IPIP, node("n1"))
    given = await tunnels(store).update(["ipip"])
    [only] = (await store.list(IPPool)).objects
    await store.update(only.with_spec(node_selector="has(rack"))
    assert await tunnels(store).update(["ipip"]) == given
    fresh = MemoryStore(IPIP.with_spec(node_selector="has(rack"), node("n1"))
    with pytest.raises(BadPool, match=r"10\.65\.0\.0/24 was asked for"):
        await tunnels(fresh).update(["ipip"])


async def test_an_address_is_not_released_because_its_pool_cannot_be_read() -> None:
    store = MemoryStore(IPIP, node("n1"))
    given = await tunnels(store).update(["ipip"])
    store.objects.pop(key_of(IPIP))
    store.unreadable = (Unreadable(IPPool, IPIP.name, None, 'IPPool "ipip": spec.cidr is required'),)
    with pytest.raises(Invalid, match=r"spec\.cidr is required"):
        await tunnels(store).update(["ipip"])
    assert await owners(store) == {given["ipip"]: "ipip-tunnel-addr-n1"}
