"""One write for all operations that wait for the same block."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from msgspec.structs import replace

import datastore
from datastore.errors import Conflict
from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from datastore.store import Create, Update, Write
from ipam import block as blocks
from ipam.allocator import AddressesWanted, Allocator, Assignment
from ipam.batch import AssignAny
from ipam.block_writer import BlockWriter, MissingBlock
from ipam.errors import (
    AlreadyAssigned,
    CompanionRefused,
    Contention,
    HandleInUse,
    WrongOwner,
)
from ipam.reserved import Reserved
from tests.datastore.memory_store import MemoryStore
from tests.ipam.world import POD, node, owners, pod, pool, report, violations


async def test_fifty_pods_at_once_cost_at_most_four_block_writes(store: MemoryStore, allocator: Allocator) -> None:
    given = await asyncio.gather(*(allocator.assign(pod(number)) for number in range(50)))
    assert len({address for one in given for address in one.ipv4}) == 50
    assert store.calls["write IPAMBlock"] <= 4
    assert len((await store.list(IPAMBlock)).objects) == 1
    in_use = {one.ipv4[0]: f"net.pod-{number}" for number, one in enumerate(given)}
    assert await violations(store, in_use) == []

    store.calls.clear()
    await asyncio.gather(*(allocator.release_handle(f"net.pod-{number}") for number in range(50)))
    assert store.calls["write IPAMBlock"] <= 4
    assert await owners(store) == {}
    assert (await store.list(IPAMHandle)).objects == ()


async def test_an_operation_that_is_refused_does_not_spoil_the_others(store: MemoryStore, allocator: Allocator) -> None:
    [address] = (await allocator.assign(POD)).ipv4
    other, refused = await asyncio.gather(
        allocator.assign(pod(2)), allocator.release([address], "net.wrong"), return_exceptions=True
    )
    assert isinstance(refused, WrongOwner) and not isinstance(other, BaseException)
    assert len(await owners(store)) == 2


async def test_fifty_pods_on_one_file_move_their_block_by_four_writes_at_most(tmp_path: Path) -> None:
    store = datastore.open(f"sqlite://{tmp_path}/addresses.db")
    await store.create(pool("pods", "10.65.0.0/16"))
    allocator = Allocator(store, now_ns=lambda: 1)
    await asyncio.gather(*(allocator.assign(pod(number)) for number in range(50)))
    [block] = (await store.list(IPAMBlock)).objects
    assert block.spec.sequence_number <= 1 + 4  # each write moves it on by one
    await asyncio.gather(*(allocator.release_handle(f"net.pod-{number}") for number in range(50)))
    [after] = (await store.list(IPAMBlock)).objects
    assert after.spec.sequence_number <= block.spec.sequence_number + 4
    assert await violations(store, {}) == []
    await store.close()


async def test_a_request_alone_writes_in_its_own_turn_of_the_loop_and_one_beside_others_waits(tmp_path: Path) -> None:
    store = datastore.open(f"sqlite://{tmp_path}/addresses.db")
    await store.create(pool("pods", "10.65.0.0/16"))
    allocator = Allocator(store)
    for number in range(3):
        await allocator.assign(pod(number))
    for number, alone in ((2, True), (1, False)):
        turns: list[str] = []
        allocator.arrivals.come()
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(turns.append, "turn")
        await allocator.release_handle(f"net.pod-{number}")
        assert bool(turns) is not alone
    await store.close()


async def test_a_handle_that_is_to_be_new_and_is_not_spoils_no_other(store: MemoryStore, allocator: Allocator) -> None:
    await allocator.assign(pod(1))
    wanted = [replace(pod(number), fresh=True) for number in (1, 2, 3)]
    given = await asyncio.gather(*(allocator.assign(one) for one in wanted), return_exceptions=True)
    assert [type(one) for one in given] == [HandleInUse, Assignment, Assignment]
    assert sorted(map(str, (await owners(store)).values())) == ["net.pod-1", "net.pod-2", "net.pod-3"]
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert await violations(store, in_use) == []


async def test_what_is_written_with_addresses_is_there_when_they_are() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), pool("six", "fd65::/48"), node("n1"))
    allocator = Allocator(store)
    await allocator.assign(replace(pod(0), ipv6=1))
    store.transactions.clear()
    given = await allocator.assign(replace(_with_endpoint(1), ipv6=1, fresh=True))
    assert store.transactions == [
        ["Create IPAMHandle", "Update IPAMBlock"],
        ["Update IPAMHandle", "Create WorkloadEndpoint", "Update IPAMBlock"],
    ]
    [endpoint] = (await store.list(WorkloadEndpoint)).objects
    assert endpoint.addresses == (*given.ipv4, *given.ipv6)


async def test_what_cannot_be_written_with_addresses_spoils_no_others() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    allocator = Allocator(store)
    await allocator.assign(_with_endpoint(1))
    again = replace(_with_endpoint(1), handle="net.other")
    given = await asyncio.gather(
        *map(allocator.assign, (again, _with_endpoint(2), pod(3), replace(pod(2), fresh=True))), return_exceptions=True
    )
    assert [type(one) for one in given] == [CompanionRefused, Assignment, Assignment, HandleInUse]
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert sorted(in_use.values()) == ["net.pod-1", "net.pod-2", "net.pod-3"]
    assert {one.addresses[0]: f"net.{one.spec.pod}" for one in (await store.list(WorkloadEndpoint)).objects} == {
        address: handle for address, handle in in_use.items() if handle != "net.pod-3"
    }
    assert await violations(store, in_use) == []


async def test_what_is_written_with_addresses_survives_a_lost_race_for_their_block() -> None:
    store = MemoryStore(pool("pods", "10.65.0.0/16"), node("n1"))
    ours, theirs = Allocator(store), Allocator(store)
    await ours.assign(pod(1))
    await theirs.assign(pod(2))
    await ours.assign(_with_endpoint(3))
    [endpoint] = (await store.list(WorkloadEndpoint)).objects
    assert {str(handle) for handle in (await owners(store)).values()} == {"net.pod-1", "net.pod-2", "net.pod-3"}
    assert (await owners(store))[endpoint.addresses[0]] == "net.pod-3"


def _with_endpoint(number: int) -> AddressesWanted:
    """Return what a pod needs whose endpoint is written with its address."""

    def made(addresses: Sequence[Address]) -> Create:
        networks = [f"{address}/{address.max_prefixlen}" for address in addresses]
        return Create(
            WorkloadEndpoint.make(
                f"n1-k8s-{number}-eth0", "default", node="n1", pod=f"pod-{number}", ipNetworks=networks
            )
        )

    return replace(pod(number), companion=made)


async def test_a_new_handle_may_gain_addresses_of_both_families(store: MemoryStore, allocator: Allocator) -> None:
    await store.create(pool("six", "fd65::/48"))
    await allocator.assign(replace(POD, ipv6=1, fresh=True))
    assert len(await owners(store)) == 2
    with pytest.raises(HandleInUse):
        await allocator.assign_address(ip_address("10.65.3.3"), replace(POD, fresh=True))


async def test_after_a_hundred_lost_races_there_is_a_sentence(store: MemoryStore, allocator: Allocator) -> None:
    class Busy(MemoryStore):
        """Another writer is always faster."""

        async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
            for write in writes:
                if isinstance(write, Update) and isinstance(write.resource, IPAMBlock):
                    self.calls["lost"] += 1
                    raise Conflict("another writer was faster")
            return await super().write(*writes)

    busy = Busy(pool("pods", "10.65.0.0/16"), atomic=store.atomic)
    with pytest.raises(Contention, match="lost 100 races in a row"):
        await Allocator(busy).assign(POD)
    assert busy.calls["lost"] == 100
    assert (await busy.list(IPAMHandle)).objects == ()


async def test_a_block_written_before_is_not_read_again_while_no_other_writes_it(store: MemoryStore) -> None:
    writer, block = await _writer(store)
    await writer.submit(block.network, AssignAny("a", {}, 1, Reserved()))
    store.calls.clear()
    await writer.submit(block.network, AssignAny("b", {}, 1, Reserved()))
    assert store.calls["get IPAMBlock"] == 0 and store.calls["write IPAMBlock"] == 1


async def test_what_another_process_wrote_meanwhile_is_read_and_kept(store: MemoryStore) -> None:
    (ours, block), (theirs, _) = await _writer(store), await _writer(store)
    for writer, handle in ((ours, "a"), (theirs, "b"), (ours, "c"), (theirs, "d")):
        await writer.submit(block.network, AssignAny(handle, {}, 1, Reserved()))
    assert sorted(map(str, (await owners(store)).values())) == ["a", "b", "c", "d"]
    assert await violations(store, {}) == []


async def test_a_block_that_does_not_exist_is_missing(store: MemoryStore) -> None:
    writer, block = await _writer(store)
    await store.delete(await store.get(IPAMBlock, block.name))
    with pytest.raises(MissingBlock, match=str(block.network)):
        await writer.submit(block.network, AssignAny("a", {}, 1, Reserved()))


async def _writer(store: MemoryStore) -> tuple[BlockWriter, IPAMBlock]:
    async def no_cooldown() -> int:
        return 0

    block = blocks.new_block(ip_network("10.65.0.0/26"), "n1", 10**18)
    if not (await store.list(IPAMBlock)).objects:
        await store.create(block)
    return BlockWriter(store, lambda: 10**18, no_cooldown), block


class _Watched(MemoryStore):
    """A store, without transactions unless told, that says what it writes, and writes a block only when it may."""

    def __init__(self, *resources: Resource, atomic: bool = False) -> None:
        super().__init__(*resources, atomic=atomic)
        self.written: list[str] = []
        self._more = asyncio.Event()
        self.may_write_blocks = asyncio.Event()
        self.may_write_blocks.set()

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        for write in writes:
            if isinstance(write, Update) and isinstance(write.resource, IPAMBlock):
                await self.may_write_blocks.wait()
            self.written.append(f"{type(write).__name__} {type(write.resource).KIND}")
            self._more.set()
        await asyncio.sleep(0)
        return await super().write(*writes)

    async def has_written(self, count: int) -> None:
        while len(self.written) < count:
            self._more.clear()
            await self._more.wait()


async def _owned(store: MemoryStore) -> Allocator:
    """Return an allocator whose host has a block with two addresses left, and knows it."""
    allocator = Allocator(store)
    for number in range(2):
        await allocator.assign(pod(number))
    return allocator


async def test_handles_go_out_while_the_block_is_written_and_their_addresses_go_into_its_next_write() -> None:
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"))
    allocator = await _owned(store)
    store.written.clear()
    store.may_write_blocks.clear()
    first = asyncio.create_task(allocator.assign(pod("first")))
    await store.has_written(1)
    others = [asyncio.create_task(allocator.assign(pod(f"other-{number}"))) for number in range(9)]
    await store.has_written(10)
    store.may_write_blocks.set()
    await asyncio.gather(first, *others)
    assert store.written == ["Create IPAMHandle"] * 10 + ["Update IPAMBlock"] * 2


@pytest.mark.parametrize("atomic", [True, False])
async def test_who_comes_while_a_block_is_written_is_in_its_next_write_whatever_is_asked(atomic: bool) -> None:
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"), atomic=atomic)
    allocator = Allocator(store)
    held = [await allocator.assign(pod(number)) for number in range(8)]
    store.may_write_blocks.clear()
    first = asyncio.create_task(allocator.assign(pod("first")))
    await _what_can_go_on()
    others = [
        *(asyncio.create_task(allocator.assign(pod(f"other-{number}"))) for number in range(4)),
        *(asyncio.create_task(allocator.release_handle(f"net.pod-{number}")) for number in range(4)),
        *(asyncio.create_task(allocator.release([held[n].ipv4[0]], f"net.pod-{n}")) for n in range(4, 8)),
    ]
    await _what_can_go_on()
    store.written.clear()
    store.may_write_blocks.set()
    await asyncio.gather(first, *others)
    assert store.written.count("Update IPAMBlock") == 2
    assert len(await owners(store)) == 5


async def _what_can_go_on() -> None:
    """Return when everybody waits for a write of the block: in memory nothing else takes more than some turns."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_callers_whom_one_write_answers_are_in_the_next_one_together() -> None:
    """With those who waited meanwhile: else there are two groups for good, and twice as many writes."""
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"))
    allocator = await _owned(store)
    await report(store, allocator)
    store.written.clear()

    async def assign_in_turn(caller: int) -> None:
        for number in range(4):
            await allocator.assign(pod(f"{caller}-{number}"))

    store.may_write_blocks.clear()
    first = [asyncio.create_task(assign_in_turn(caller)) for caller in range(4)]
    await store.has_written(4)
    others = [asyncio.create_task(assign_in_turn(caller)) for caller in range(4, 8)]
    await store.has_written(8)
    store.may_write_blocks.set()
    await asyncio.gather(*first, *others)
    assert store.written.count("Create IPAMHandle") == 8 * 4
    assert store.written.count("Update IPAMBlock") == 4


async def test_after_a_lost_race_for_the_block_no_handle_is_written_again() -> None:
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"))
    allocator = await _owned(store)
    await Allocator(store).assign(pod("of another process"))
    store.written.clear()
    await allocator.assign(pod(3))
    assert store.written == ["Create IPAMHandle", "Update IPAMBlock", "Update IPAMBlock"]
    assert len(await owners(store)) == 4


async def test_what_the_block_does_not_give_is_counted_back() -> None:
    store = _Watched(pool("pods", "10.65.0.0/24", block_size=30), node("n1"))
    allocator = await _owned(store)
    for number in (5, 6):
        await Allocator(store).assign(pod(number))  # by another process: the block is full
    given = await allocator.assign(replace(pod(7), fresh=True))
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert in_use[given.ipv4[0]] == "net.pod-7"
    assert await violations(store, in_use) == []


async def test_an_address_that_is_taken_costs_no_handle() -> None:
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"))
    allocator = await _owned(store)
    [address, *_] = await owners(store)
    store.written.clear()
    with pytest.raises(AlreadyAssigned):
        await allocator.assign_address(address, pod("late"))
    assert store.written == []


async def test_a_pod_that_is_cancelled_meanwhile_has_its_address_or_nothing() -> None:
    store = _Watched(pool("pods", "10.65.0.0/24"), node("n1"))
    allocator = await _owned(store)
    store.written.clear()
    store.may_write_blocks.clear()
    leaving = asyncio.create_task(allocator.assign(pod("leaving")))
    await store.has_written(1)
    leaving.cancel()
    await asyncio.sleep(0)
    store.may_write_blocks.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert len(await allocator.release_handle(pod("leaving").handle)) == 1
    in_use = {address: str(handle) for address, handle in (await owners(store)).items()}
    assert await violations(store, in_use) == []
