"""Which addresses, handles and blocks look leaked."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from ipam.allocator import AddressesWanted, Allocator
from ipam.block import Allocation, assigned_in
from ipam.collector import Collector
from ipam.leaks import Leaks, Suspects, find_leaks
from ipam.matching import match
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import node, owners, pool

MINUTE = 60 * 10**9


class World:
    """Two nodes, pods on them, and a clock that is set by hand."""

    def __init__(self, **how: Any) -> None:
        self.now = 10**18
        self.store = MemoryStore(pool("pods", "10.65.0.0/24", block_size=28), node("n1"), node("n2"), **how)
        self.allocator = Allocator(self.store, now_ns=lambda: self.now)
        self.collector = Collector(self.store, self.allocator, grace_seconds=900, now_ns=lambda: self.now)

    async def add(self, pod: str, host: str = "n1", *, endpoint: bool = True, addresses: int = 1) -> None:
        attributes = {"namespace": "default", "pod": pod, "node": host}
        given = await self.allocator.assign(AddressesWanted(host, f"net.{pod}", attributes, ipv4=addresses))
        if endpoint:
            networks = [f"{address}/32" for address in given.ipv4[:1]]
            made = WorkloadEndpoint.make(
                f"{host}-{pod}", "default", node=host, pod=pod, endpoint="eth0", ip_networks=networks
            )
            await self.store.create(made)

    async def remove_node(self, name: str) -> None:
        await self.store.delete(await self.store.get(Node, name))

    async def leaks(self) -> Leaks:
        return find_leaks(
            (await self.store.list(IPAMBlock)).objects,
            (await self.store.list(IPAMHandle)).objects,
            (await self.store.list(WorkloadEndpoint)).objects,
            (await self.store.list(Node)).objects,
            (await self.store.list(BlockAffinity)).objects,
        )

    async def leaked(self) -> list[str]:
        return [str(one.handle) for one in (await self.leaks()).addresses]

    async def held(self) -> list[str]:
        return sorted(str(handle) for handle in (await owners(self.store)).values())


async def test_a_pod_with_its_endpoint_is_no_leak_and_one_without_is() -> None:
    world = World()
    await world.add("web")
    await world.add("lost", endpoint=False)
    assert await world.leaked() == ["net.lost"]


async def test_a_pod_that_has_finished_has_none_of_its_addresses_and_one_that_is_yet_to_be_attached_may_have_any() -> (
    None
):
    """As on Kubernetes, where a pod that was evicted or has completed stays, and shows its container alone."""
    world = World()
    shown: dict[str, dict[str, Any]] = {"evicted": {"container_id": "c1"}, "new": {}}
    for pod, more in shown.items():
        await world.add(pod, endpoint=False)
        made = WorkloadEndpoint.make(f"n1-{pod}", "default", node="n1", pod=pod, endpoint="eth0", **more)
        await world.store.create(made)
    assert await world.leaked() == ["net.evicted"]


async def test_a_handle_leaks_with_all_its_addresses_or_none() -> None:
    world = World()
    await world.add("web", addresses=2)  # its endpoint names one of the two
    assert await world.leaked() == []


async def test_a_tunnels_address_leaks_only_with_its_node() -> None:
    world = World()
    tunnel = {"node": "n2", "type": "ipipTunnelAddress"}
    await world.allocator.assign(AddressesWanted("n2", "ipip-tunnel-addr-n2", tunnel, use="Tunnel"))
    assert await world.leaked() == []
    await world.add("web", "n2")
    await world.remove_node("n2")
    assert await world.leaked() == []
    await world.store.delete((await world.store.list(WorkloadEndpoint)).objects[0])
    assert sorted(await world.leaked()) == ["ipip-tunnel-addr-n2", "net.web"]


async def test_an_address_without_a_pods_name_never_leaks() -> None:
    world = World()
    await world.allocator.assign(AddressesWanted("n1", "by-hand", {"note": "by hand"}))
    assert await world.leaked() == []


async def test_an_address_that_names_no_node_is_of_its_pod_wherever_that_is() -> None:
    world = World()
    attributes = {"namespace": "default", "pod": "web"}
    await world.add("web", "n2")
    [address] = await owners(world.store)
    await world.allocator.release_handle("net.web")
    await world.allocator.assign_address(address, AddressesWanted("n1", "net.web", attributes))
    assert await world.leaked() == []
    await world.store.delete((await world.store.list(WorkloadEndpoint)).objects[0])
    leaks = await world.leaks()
    assert [str(one.handle) for one in leaks.addresses] == ["net.web"]
    assert leaks.orphans == frozenset()  # nothing says that its node is gone


async def test_an_address_of_two_owners_leaks_when_both_are_gone() -> None:
    world = World()
    await world.add("from")
    block = (await world.store.list(IPAMBlock)).objects[0]
    other = {"namespace": "default", "pod": "to", "node": "n2"}
    shared = block.spec.attributes[0].replace(alternate_owner=other)
    await world.store.update(block.with_spec(attributes=(shared,)))
    [source] = (await world.store.list(WorkloadEndpoint)).objects
    await world.store.create(WorkloadEndpoint.make("n2-to", "default", node="n2", pod="to"))
    await world.store.delete(source)
    assert await world.leaked() == []
    await world.store.delete((await world.store.list(WorkloadEndpoint)).objects[0])
    assert await world.leaked() == ["net.from"]


async def test_what_a_host_that_is_gone_claims_is_idle_unless_it_holds_addresses_or_cannot_be_read() -> None:
    world = World()
    await world.add("web", "n1", endpoint=False)
    await world.add("db", "n2", endpoint=False)
    await world.allocator.release_handle("net.web")
    await world.store.create(
        BlockAffinity.make("n1-b", node="n1", type="host", cidr="10.65.0.64/28", state="pending", deleted="false")
    )
    assert (await world.leaks()).blocks == ()
    await world.remove_node("n1")
    await world.remove_node("n2")
    leaks = await world.leaks()
    assert leaks.gone == {"n1", "n2"}
    assert {host for host, _ in leaks.blocks} == {"n1"}
    assert len(leaks.blocks) == 2
    [empty] = [one for one in (await world.store.list(IPAMBlock)).objects if one.spec.affinity == "host:n1"]
    world.store.spoil(empty)
    records = [(await world.store.list(kind)).objects for kind in (IPAMBlock, BlockAffinity)]
    unread = find_leaks(records[0], (), (), (), records[1], world.store.unreadable)  # type: ignore[arg-type]
    assert [str(cidr) for _, cidr in unread.blocks] == ["10.65.0.64/28"]


async def test_who_has_the_assigned_addresses_already_gets_the_same_leaks() -> None:
    world = World()
    await world.add("a", endpoint=False)
    blocks = (await world.store.list(IPAMBlock)).objects
    matching = match(assigned_in(blocks), {})
    assert find_leaks(blocks, (), (), (), matching=matching) == find_leaks(blocks, (), (), ())
    assert find_leaks(blocks, (), (), ()).assigned == len(assigned_in(blocks)) == 1


async def test_of_a_host_that_is_gone_only_handles_that_are_all_its_own_are_given_back() -> None:
    world = World()
    await world.add("own", "n2", endpoint=False)
    for host in ("n1", "n2"):
        attributes = {"namespace": "default", "pod": "both", "node": host}
        await world.allocator.assign(AddressesWanted(host, "net.both", attributes, ipv4=1))
    await world.remove_node("n2")
    leaks = (await world.leaks()).of_hosts({"n2"})
    assert [str(one.handle) for one in leaks.addresses] == ["net.own"]


ALLOCATION = Allocation(ip_address("10.65.0.1"), "net.web", {}, 7, ip_network("10.65.0.0/28"))
GRACE = 15 * MINUTE


def test_a_leak_is_confirmed_once_it_has_been_suspected_for_the_grace_time() -> None:
    leaks = Leaks((ALLOCATION,), blocks=(("n1", ip_network("10.65.0.0/28")),))
    suspects, confirmed = Suspects().update(leaks, 0, GRACE)
    assert confirmed == Leaks()
    suspects, confirmed = suspects.update(leaks, GRACE - 1, GRACE)
    assert confirmed == Leaks()
    _, confirmed = suspects.update(leaks, GRACE, GRACE)
    assert confirmed == leaks


def test_what_did_not_look_leaked_in_one_reading_is_suspected_from_the_start_again() -> None:
    leaks = Leaks((ALLOCATION,))
    suspects, _ = Suspects().update(leaks, 0, GRACE)
    suspects, _ = suspects.update(Leaks(), GRACE // 2, GRACE)
    _, confirmed = suspects.update(leaks, GRACE, GRACE)
    assert confirmed == Leaks()


def test_the_same_address_assigned_again_is_another_suspect() -> None:
    suspects, _ = Suspects().update(Leaks((ALLOCATION,)), 0, GRACE)
    _, confirmed = suspects.update(Leaks((ALLOCATION._replace(sequence=8),)), GRACE, GRACE)
    assert confirmed == Leaks()


def test_a_handles_addresses_are_confirmed_together() -> None:
    other = ALLOCATION._replace(address=ip_address("10.65.0.2"))
    suspects, _ = Suspects().update(Leaks((ALLOCATION,)), 0, GRACE)
    suspects, confirmed = suspects.update(Leaks((ALLOCATION, other)), GRACE, GRACE)
    assert confirmed == Leaks()
    _, confirmed = suspects.update(Leaks((ALLOCATION, other)), 2 * GRACE, GRACE)
    assert confirmed.addresses == (ALLOCATION, other)
