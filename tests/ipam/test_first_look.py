"""What a first look takes to be in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.summaries import BLOCKS, ENDPOINTS, HANDLES
from ipam.allocator import AddressesWanted
from ipam.first_look import FirstLook
from ipam.names import WINDOWS_HANDLE
from tests.ipam.test_leaks import World


async def order_is_found(world: World) -> bool:
    look = FirstLook()
    await world.store.scan(BLOCKS, look.block)
    await world.store.scan(HANDLES, look.handle)
    await world.store.scan(ENDPOINTS, look.endpoint)
    nodes, affinities = await world.store.list(Node), await world.store.list(BlockAffinity)
    return look.finds_order(nodes.objects, affinities.objects)


async def sound_world() -> World:
    """Return one with pods, a tunnel, an address of nobody's, and one that a Windows host has set aside."""
    world = World()
    for number in range(3):
        await world.add(f"web-{number}", f"n{number % 2 + 1}")
    tunnel = {"node": "n2", "type": "ipipTunnelAddress"}
    await world.allocator.assign(AddressesWanted("n2", "ipip-tunnel-addr-n2", tunnel, use="Tunnel"))
    await world.allocator.assign(AddressesWanted("n1", "by-hand", {"note": "by hand"}))
    await world.allocator.assign(AddressesWanted("n1", WINDOWS_HANDLE, {"note": "windows-reserved"}))
    return world


async def test_a_sound_cluster_is_in_order() -> None:
    assert await order_is_found(await sound_world())


async def a_pod_went(world: World) -> None:
    await world.store.delete((await world.store.list(WorkloadEndpoint)).objects[0])


async def a_pod_has_another_address(world: World) -> None:
    found = (await world.store.list(WorkloadEndpoint)).objects[0]
    await world.store.update(found.with_spec(ip_networks=("10.65.0.99/32",)))


async def a_pod_is_on_another_node(world: World) -> None:
    found = (await world.store.list(WorkloadEndpoint)).objects[0]
    await world.store.update(found.with_spec(node="n2"))


async def a_handle_has_no_address(world: World) -> None:
    await world.store.create(IPAMHandle.make("left", handle_id="left", block={"10.65.0.0/28": 1}, deleted=False))


async def a_node_went(world: World) -> None:
    await world.remove_node("n2")


async def a_node_has_two_empty_blocks(world: World) -> None:
    await world.add("many", "n1", addresses=16)
    await world.add("more", "n1", addresses=16)
    await world.allocator.release_handle("net.many")
    await world.allocator.release_handle("net.more")
    for endpoint in (await world.store.list(WorkloadEndpoint)).objects:
        if endpoint.spec.pod in ("many", "more"):
            await world.store.delete(endpoint)


async def a_tunnel_names_no_node(world: World) -> None:
    await world.allocator.assign(AddressesWanted("n1", "lost", {"type": "ipipTunnelAddress"}, use="Tunnel"))


@pytest.mark.parametrize(
    "happens",
    [
        a_pod_went,
        a_pod_has_another_address,
        a_pod_is_on_another_node,
        a_handle_has_no_address,
        a_node_went,
        a_node_has_two_empty_blocks,
        a_tunnel_names_no_node,
    ],
)
async def test_whatever_is_amiss_is_left_to_a_whole_reading(happens: Callable[[World], Awaitable[None]]) -> None:
    world = await sound_world()
    await happens(world)
    assert not await order_is_found(world)


STEPS = st.sampled_from(
    ["pod", "pod elsewhere", "pod without endpoint", "tunnel", "by hand", "endpoint went", "node went"]
)


@given(st.lists(STEPS, max_size=8))
async def test_where_order_is_found_nothing_leaks(steps: list[str]) -> None:
    world = World()
    for number, step in enumerate(steps):
        match step:
            case "pod" | "pod elsewhere" | "pod without endpoint":
                host = "n2" if step == "pod elsewhere" else "n1"
                await world.add(f"web-{number}", host, endpoint=step != "pod without endpoint")
            case "tunnel":
                tunnel = {"node": "n2", "type": "ipipTunnelAddress"}
                await world.allocator.assign(AddressesWanted("n2", f"tunnel-{number}", tunnel, use="Tunnel"))
            case "by hand":
                await world.allocator.assign(AddressesWanted("n1", f"by-hand-{number}", {"note": "by hand"}))
            case "endpoint went":
                for endpoint in (await world.store.list(WorkloadEndpoint)).objects[:1]:
                    await world.store.delete(endpoint)
            case "node went":
                for node in (await world.store.list(Node)).objects[1:]:
                    await world.store.delete(node)
    leaks = await world.leaks()
    leaked = leaks.addresses or leaks.handles or leaks.blocks or leaks.gone
    assert await order_is_found(world) == (not leaked)


async def test_a_block_seen_twice_changes_nothing() -> None:
    world, look = await sound_world(), FirstLook()
    for _ in range(2):
        for block in (await world.store.list(IPAMBlock)).objects:
            look.block(block)
    await world.store.scan(ENDPOINTS, look.endpoint)
    nodes, affinities = await world.store.list(Node), await world.store.list(BlockAffinity)
    assert look.finds_order(nodes.objects, affinities.objects)


async def test_an_address_that_two_blocks_have_given_is_left_to_a_whole_reading() -> None:
    """As of pools that overlap: the pod that is there must not hide the one that is gone."""
    world, look = World(), FirstLook()
    await world.add("web")
    block = BLOCKS.of((await world.store.list(IPAMBlock)).objects[0])
    gone = tuple(replace(one, secondary={**(one.secondary or {}), "pod": "gone"}) for one in block.spec.attributes)
    look.block(replace(block, spec=replace(block.spec, attributes=gone)))
    await world.store.scan(BLOCKS, look.block)
    await world.store.scan(ENDPOINTS, look.endpoint)
    nodes, affinities = await world.store.list(Node), await world.store.list(BlockAffinity)
    assert not look.finds_order(nodes.objects, affinities.objects)
