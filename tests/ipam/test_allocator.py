"""What the allocator promises, on a store in memory."""

from __future__ import annotations

import asyncio
import itertools
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from msgspec.structs import replace

import datastore
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.pools import IPPool, IPReservation
from ipam import block as blocks
from ipam.allocator import Allocator
from ipam.batch import Release
from ipam.errors import (
    AlreadyAssigned,
    BadPool,
    ClaimConflict,
    Exhausted,
    ForeignBlock,
    NoPools,
    NotInPool,
    UnfitAddress,
    WrongOwner,
)
from ipam.host_context import CONTEXT_KINDS
from tests.datastore.memory_store import MemoryStore
from tests.ipam.records import calico
from tests.ipam.world import POD, config, node, owners, pod, pool, report, violations


async def test_an_assigned_address_is_recorded_with_block_affinity_and_handle(
    store: MemoryStore, allocator: Allocator
) -> None:
    given = await allocator.assign(POD)
    [address] = given.ipv4
    cidr = given.blocks[address]
    [block] = (await store.list(IPAMBlock)).objects
    [affinity] = (await store.list(BlockAffinity)).objects
    [handle] = (await store.list(IPAMHandle)).objects
    assert block.network == cidr and cidr.prefixlen == 26 and address in cidr
    assert block.spec.affinity == "host:n1"
    assert affinity.spec.state == "confirmed" and affinity.spec.node == "n1"
    assert handle.spec.block == {str(cidr): 1}
    assert await owners(store) == {address: "net.pod"} == dict.fromkeys(await allocator.held("net.pod"), "net.pod")
    assert await violations(store, dict.fromkeys(given.ipv4, "net.pod")) == []


async def test_what_was_claimed_for_a_node_is_known_before_any_watch_reports_it(allocator: Allocator) -> None:
    assert not allocator.claimed("n1")
    given = await allocator.assign(POD)
    assert allocator.claimed("n1") == {*given.blocks.values()}
    assert not allocator.claimed("n2")


async def test_a_second_node_gets_a_block_of_its_own(store: MemoryStore, allocator: Allocator) -> None:
    one, two = await allocator.assign(pod(1)), await allocator.assign(pod(2, "n2"))
    assert set(one.blocks.values()).isdisjoint(two.blocks.values())
    assert {affinity.spec.node for affinity in (await store.list(BlockAffinity)).objects} == {"n1", "n2"}


async def test_a_block_that_cannot_be_read_keeps_no_pod_of_its_node_waiting(
    store: MemoryStore, allocator: Allocator
) -> None:
    given = await allocator.assign(pod(1))
    [block] = (await store.list(IPAMBlock)).objects
    store.spoil(block)
    again = Allocator(store)
    found = (await again.assign(pod(2)), await again.assign(pod(3, "n2")))
    assert not set(given.blocks.values()) & {cidr for one in found for cidr in one.blocks.values()}
    await again.adopt("n1")


async def test_both_families_come_together_or_not_at_all(store: MemoryStore, allocator: Allocator) -> None:
    both = replace(POD, ipv6=1)
    with pytest.raises(NoPools, match="IPv6"):
        await allocator.assign(both)
    assert await owners(store) == {}
    assert (await store.list(IPAMHandle)).objects == ()
    await store.create(pool("six", "fd00:65::/64"))
    given = await allocator.assign(both)
    [four], [six] = given.ipv4, given.ipv6
    assert (four.version, six.version) == (4, 6)
    assert given.blocks[six].prefixlen == 122
    [handle] = (await store.list(IPAMHandle)).objects
    assert handle.spec.block == {str(cidr): 1 for cidr in given.blocks.values()}
    assert sorted(map(str, await allocator.release_handle(POD.handle))) == sorted(map(str, (four, six)))
    assert await owners(store) == {}


async def test_a_shortfall_releases_everything_and_says_why() -> None:
    store = MemoryStore(pool("tiny", "10.66.0.0/30", block_size=30), node("n1"))
    allocator = Allocator(store)
    await allocator.assign(pod(1))
    with pytest.raises(Exhausted, match=r"net\.pod-2 on node n1: found 3 of 4 IPv4 addresses: .*tiny 10\.66\.0\.0/30"):
        await allocator.assign(replace(pod(2), ipv4=4))
    assert len(await owners(store)) == 1
    assert [handle.name for handle in (await store.list(IPAMHandle)).objects] == ["net.pod-1"]


async def test_a_full_pool_is_borrowed_from_in_the_hosts_order() -> None:
    store = MemoryStore(pool("small", "10.66.0.0/29", block_size=30), node("n1"), node("n2"))
    allocator = Allocator(store)
    for number in range(6):
        await allocator.assign(pod(number))
    [borrowed] = (await allocator.assign(pod(7, "n2"))).ipv4
    assert (await store.list(BlockAffinity)).objects and len((await store.list(IPAMBlock)).objects) == 2
    assert {affinity.spec.node for affinity in (await store.list(BlockAffinity)).objects} == {"n1"}
    assert await violations(store, {borrowed: "net.pod-7"}) == []
    await allocator.release_handle("net.pod-7")
    assert borrowed not in await owners(store)


async def test_strict_affinity_never_borrows() -> None:
    store = MemoryStore(pool("small", "10.66.0.0/30", block_size=30), config(strict_affinity=True))
    allocator = Allocator(store)
    given = await allocator.assign(pod(1))
    with pytest.raises(Exhausted, match="strictAffinity forbids borrowing"):
        await allocator.assign(pod(2, "n2"))
    with pytest.raises(ForeignBlock, match="belongs to host:n1"):
        await allocator.assign_address(ip_address(int(given.ipv4[0]) ^ 1), pod(2, "n2"))


async def test_reserved_addresses_are_never_chosen_but_can_be_requested(store: MemoryStore) -> None:
    await store.create(IPReservation.make("kept", reserved_cidrs=["10.65.0.0/17", "10.65.128.0/18", "10.65.192.1"]))
    allocator = Allocator(store)
    given = await asyncio.gather(*(allocator.assign(pod(number)) for number in range(70)))
    assert all(one.ipv4[0] in ip_network("10.65.192.0/18") for one in given)
    named = await allocator.assign_address(ip_address("10.65.3.4"), pod("named"))
    assert named.ipv4 == (ip_address("10.65.3.4"),)
    assert named.blocks == {ip_address("10.65.3.4"): ip_network("10.65.3.0/26")}


async def test_no_pod_is_given_an_address_of_a_node_or_of_its_gateway() -> None:
    here = node("n1").with_data(IPv4Address="192.0.2.1/24")
    store = MemoryStore(pool("near", "192.0.2.0/24"), here, node("n2").with_data(IPv4Address="192.0.2.2/24"))
    allocator = Allocator(store)
    allocator.avoid({ip_address("192.0.2.100"): "a gateway of this host"})
    given = await asyncio.gather(*(allocator.assign(pod(number)) for number in range(64)))
    assert {cidr for one in given for cidr in one.blocks.values()} == {ip_network("192.0.2.128/26")}
    with pytest.raises(Exhausted):
        await allocator.assign(pod("more", "n2"))
    with pytest.raises(UnfitAddress, match=r'192\.0\.2\.0/26, where 192\.0\.2\.1 is an address of Node "n1"'):
        await allocator.assign_address(ip_address("192.0.2.1"), pod("named"))


@pytest.mark.parametrize("watched", [True, False])
async def test_pools_that_overlap_with_blocks_of_other_sizes_give_no_address_twice(watched: bool) -> None:
    within, around = pool("a-within", "10.65.85.0/24", block_size=28), pool("pods", "10.65.85.0/24")
    store = MemoryStore(within, around, node("n1"), node("n2"))
    allocator = Allocator(store)
    given = []
    for host, name in (("n1", "pods"), ("n2", "a-within")):
        if watched:
            await report(store, allocator)
        wanted = (replace(pod(number, host), handle=f"{host}-{number}", pools4=(name,)) for number in range(100))
        given += [(await allocator.assign(one)).ipv4[0] for one in wanted]
    assert len(set(given)) == 200


async def test_a_given_address_is_not_assigned_where_a_block_of_another_size_has_it(store: MemoryStore) -> None:
    allocator = Allocator(store)
    given = (await allocator.assign(pod(1))).ipv4[0]
    await store.delete(await store.get(IPPool, "pods"))
    await store.create(pool("anew", "10.65.0.0/16", block_size=28))
    with pytest.raises(ClaimConflict, match=r"claim block 10\.65\.\d+\.\d+/28 of pool anew for node n2: block .*/26"):
        await allocator.assign_address(given, pod(2, "n2"))


async def test_an_address_is_released_from_its_block_though_its_pool_was_made_anew_with_others(
    store: MemoryStore,
) -> None:
    address = (await Allocator(store).assign(pod(1))).ipv4[0]
    await store.delete(await store.get(IPPool, "pods"))
    await store.create(pool("anew", "10.65.0.0/16", block_size=28))
    assert (await Allocator(store).release([address])).released == (address,)
    assert await owners(store) == {}


async def test_no_pod_is_given_an_address_that_none_can_have() -> None:
    allocator = Allocator(MemoryStore(pool("all", "127.0.0.0/8"), node("n1")))
    with pytest.raises(Exhausted):
        await allocator.assign(pod(1))
    with pytest.raises(UnfitAddress, match=r"127\.0\.0\.0/8, which is each host's own"):
        await allocator.assign_address(ip_address("127.1.2.3"), pod("named"))


async def test_a_given_address_is_assigned_once(store: MemoryStore, allocator: Allocator) -> None:
    address = ip_address("10.65.3.4")
    await allocator.assign_address(address, POD)
    with pytest.raises(AlreadyAssigned, match=r"10\.65\.3\.4 to net\.pod-2: it belongs to net\.pod"):
        await allocator.assign_address(address, pod(2))
    with pytest.raises(NotInPool, match=r"192\.0\.2\.1"):
        await allocator.assign_address(ip_address("192.0.2.1"), POD)
    assert await violations(store, {address: "net.pod"}) == []


async def test_requested_pools_are_used_in_that_order(store: MemoryStore, allocator: Allocator) -> None:
    await store.create(pool("apart", "10.70.0.0/24", node_selector="!all()"))
    assert (await allocator.assign(replace(POD, pools4=("apart",)))).ipv4[0] in ip_network("10.70.0.0/24")
    with pytest.raises(BadPool, match="no-such-pool"):
        await allocator.assign(replace(POD, pools4=("no-such-pool",)))


async def test_releasing_a_free_address_is_reported_and_not_refused(allocator: Allocator) -> None:
    [address] = (await allocator.assign(POD)).ipv4
    free, foreign = ip_address("10.65.200.200"), ip_address("192.0.2.9")
    released = await allocator.release([address, address, free, foreign])
    assert released.released == (address,)
    assert released.unassigned == (free, foreign)
    assert await allocator.release_handle("net.pod") == []


async def test_releasing_an_address_of_another_handle_is_refused(store: MemoryStore, allocator: Allocator) -> None:
    [address] = (await allocator.assign(POD)).ipv4
    [block] = (await store.list(IPAMBlock)).objects
    [allocation] = blocks.allocations(block)
    with pytest.raises(WrongOwner, match=r"belongs to net\.pod now"):
        await allocator.release([address], "net.other")
    with pytest.raises(WrongOwner, match="assigned again"):
        await allocator.release([Release(address, "net.pod", allocation.sequence - 1)])
    assert await owners(store) == {address: "net.pod"}
    assert (await allocator.release([Release(address, "net.pod", allocation.sequence)])).released == (address,)


async def test_all_blocks_of_a_pool_can_be_released(store: MemoryStore, allocator: Allocator) -> None:
    await store.create(pool("other", "10.70.0.0/24"))
    await allocator.assign(replace(pod(1), pools4=("pods",)))
    await allocator.assign(replace(pod(2, "n2"), pools4=("pods",)))
    await allocator.assign(replace(pod(3), pools4=("other",)))
    assert len(await allocator.release_pool(ip_network("10.65.0.0/16"))) == 2
    assert [affinity.spec.cidr[:6] for affinity in (await store.list(BlockAffinity)).objects] == ["10.70."]


async def test_an_unselected_block_is_released_with_its_last_pod(store: MemoryStore, allocator: Allocator) -> None:
    await allocator.assign(POD)
    [old] = (await store.list(IPPool)).objects
    await store.update(old.with_spec(node_selector="has(rack)"))
    await allocator.release_handle("net.pod")
    assert (await store.list(BlockAffinity)).objects == () == (await store.list(IPAMBlock)).objects


async def test_released_addresses_cool_down_as_the_cluster_says() -> None:
    moment = 10**18
    store = MemoryStore(
        pool("tiny", "10.66.0.0/31", block_size=31),
        config(strict_affinity=True, ip_cooldown_seconds=30),
    )
    allocator = Allocator(store, now_ns=lambda: moment)
    await allocator.assign(replace(POD, ipv4=2))
    await allocator.release_handle("net.pod")
    with pytest.raises(Exhausted):
        await allocator.assign(pod(2))
    moment += 31 * 10**9
    assert len((await allocator.assign(replace(pod(2), ipv4=2))).ipv4) == 2
    assert await violations(store, dict.fromkeys(await owners(store), "net.pod-2")) == []


async def test_a_handle_without_addresses_is_gone_after_its_release(store: MemoryStore) -> None:
    """As a crash between handle and block leaves it on a store without transactions."""
    allocator = Allocator(store)
    await allocator.assign(pod(1))
    [block] = (await store.list(IPAMBlock)).objects
    await store.create(IPAMHandle.make("net.empty", handle_id="net.empty", block={block.spec.cidr: 1}, deleted=False))
    assert await allocator.release_handle("net.empty") == []
    left = [handle.name for handle in (await store.list(IPAMHandle)).objects]
    assert left == (["net.pod-1"] if store.atomic else ["net.empty", "net.pod-1"])


async def test_a_pool_that_the_watch_reports_as_disabled_gives_nothing_more(tmp_path: Path) -> None:
    store = datastore.open(f"sqlite://{tmp_path}/addresses.db")
    await store.create(pool("pods", "10.65.0.0/16"))
    allocator = Allocator(store)

    async def watch() -> None:
        async for event in store.watch(*CONTEXT_KINDS):
            allocator.on_event(event)

    watching = asyncio.create_task(watch())
    await allocator.assign(pod(1))
    [pods] = (await store.list(IPPool)).objects
    await store.update(pods.with_spec(disabled=True))
    for number in itertools.count(2):
        try:
            await allocator.assign(pod(number))
        except NoPools:
            break
    watching.cancel()
    await store.close()


async def test_an_address_whose_caller_left_is_owned_by_its_handle(store: MemoryStore) -> None:
    allocator = Allocator(store)
    task = asyncio.create_task(allocator.assign(POD))
    for _ in range(1000):
        await asyncio.sleep(0)
        if await owners(store):
            break
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(20):
        await asyncio.sleep(0)
    await allocator.release_handle("net.pod")
    assert await owners(store) == {}


async def test_records_have_the_fields_that_calicos_have(store: MemoryStore, allocator: Allocator) -> None:
    await allocator.assign(POD)
    for kind, file in ((IPAMBlock, "ipamblocks"), (BlockAffinity, "blockaffinities"), (IPAMHandle, "ipamhandles")):
        [ours] = (await store.list(kind)).objects
        theirs = calico(f"crs/{file}.yaml")[0]
        record = ours.to_json()
        assert record["spec"].keys() == theirs["spec"].keys()
        assert {key: type(value) for key, value in record["spec"].items()} == {
            key: type(value) for key, value in theirs["spec"].items()
        }
        assert (record["apiVersion"], record["kind"]) == (theirs["apiVersion"], theirs["kind"])
