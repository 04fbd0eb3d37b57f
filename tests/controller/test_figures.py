from __future__ import annotations

from controller.figures import by_node, figures, reclaimed
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from ipam.allocator import AddressesWanted
from ipam.leaks import ClusterReading
from tests.ipam.test_leaks import World


async def reading(world: World) -> ClusterReading:
    blocks, affinities = await world.store.list(IPAMBlock), await world.store.list(BlockAffinity)
    nodes, endpoints = await world.store.list(Node), await world.store.list(WorkloadEndpoint)
    return ClusterReading(blocks.objects, (), affinities.objects, nodes.objects, endpoints.objects)


async def test_addresses_and_blocks_are_counted_by_pool_and_node() -> None:
    world = World()
    await world.add("web")
    await world.add("lost", endpoint=False)
    [block] = (await world.store.list(IPAMBlock)).objects
    borrowed = {"namespace": "default", "pod": "far", "node": "n2"}
    await world.allocator.assign_address(block.network[9], AddressesWanted("n2", "net.far", borrowed))
    await world.allocator.assign_address(block.network[10], AddressesWanted("n1", "by-hand", {}))
    pools = (await world.store.list(IPPool)).objects
    found = figures(await reading(world), pools)
    assert found.in_use == {("pods", "n1"): 2, ("pods", "n2"): 1, ("pods", "unknown_node"): 1}
    assert found.borrowed == {("pods", "n2"): 1}
    assert found.blocks == {("pods", "n1"): 1}
    assert found.candidates == {("pods", "n1"): 1, ("pods", "n2"): 1}
    assert found.sizes == {"pods": 256}
    assert by_node(found.in_use) == {"n1": 2, "n2": 1, "unknown_node": 1}
    leaked = (await world.leaks()).addresses
    assert reclaimed(leaked, pools) == found.candidates
    assert figures(await reading(world), ()).blocks == {("no_ippool", "n1"): 1}
