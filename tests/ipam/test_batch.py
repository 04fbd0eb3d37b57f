"""Many operations on one block, decided together: in order of arrival, each with its own result."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipam import batch
from ipam import block as blocks
from ipam.batch import AssignAny, AssignExactly, Operation, Release, ReleaseHandle, counted
from ipam.errors import AlreadyAssigned, ForeignBlock, WrongOwner
from ipam.reserved import Reserved

NOW = 10**18
FREE = Reserved()
BLOCK = blocks.new_block(ip_network("10.65.0.0/30"), "n1", NOW)


def address(ordinal: int) -> IPv4Address:
    return IPv4Address(f"10.65.0.{ordinal}")


def assign(handle: str, count: int = 1, only_for: str | None = None) -> AssignAny:
    return AssignAny(handle, {}, count, FREE, only_for)


def test_operations_are_carried_out_in_order_by_one_write() -> None:
    after = batch.apply(BLOCK, [assign("a"), assign("b", 2), assign("c", 2), ReleaseHandle("a")], NOW, 0)
    assert after.results == ((address(0),), (address(1), address(2)), (address(3),), (address(0),))
    assert after.handles == {"a": 0, "b": 2, "c": 1}
    assert after.block.spec.sequence_number == BLOCK.spec.sequence_number + 1


def test_what_is_refused_leaves_the_others_untouched() -> None:
    taken = AssignExactly("a", {}, address(1))
    after = batch.apply(
        BLOCK, [taken, AssignExactly("b", {}, address(1)), assign("c", only_for="n2"), assign("d")], NOW, 0
    )
    first, second, third, fourth = after.results
    assert (first, fourth) == ((address(1),), (address(0),))
    assert isinstance(second, AlreadyAssigned) and isinstance(third, ForeignBlock)


def test_a_batch_that_changes_nothing_returns_the_same_block() -> None:
    for nothing in (Release(address(1)), ReleaseHandle("a"), assign("a", only_for="n2")):
        assert batch.apply(BLOCK, [nothing], NOW, 0).block is BLOCK


def test_a_release_names_handle_and_sequence_of_what_it_means() -> None:
    held = batch.apply(BLOCK, [assign("a")], NOW, 0).block
    [allocation] = blocks.allocations(held)
    for wrong in (Release(address(0), "b"), Release(address(0), "a", allocation.sequence + 1)):
        assert isinstance(batch.apply(held, [wrong], NOW, 0).results[0], WrongOwner)
    right = batch.apply(held, [Release(address(0), "a", allocation.sequence)], NOW, 0)
    assert (right.results, right.handles) == (((address(0),),), {"a": -1})


def test_a_block_without_owner_is_deleted_with_its_last_address() -> None:
    held = blocks.without_affinity(batch.apply(BLOCK, [assign("a", 2)], NOW, 0).block)
    assert not batch.apply(held, [Release(address(0))], NOW, 0).deletes_block
    assert batch.apply(held, [ReleaseHandle("a")], NOW, 0).deletes_block
    assert not batch.apply(BLOCK, [Release(address(0))], NOW, 0).deletes_block


def test_an_address_that_cools_down_is_assigned_again_only_afterwards() -> None:
    full = batch.apply(BLOCK, [assign("a", 4)], NOW, 0).block
    released = batch.apply(full, [Release(address(2))], NOW, 60).block
    assert batch.needs_cooldown(released, [assign("b")]) and not batch.needs_cooldown(full, [assign("b")])
    assert batch.apply(released, [assign("b")], NOW + 59 * 10**9, 60).results == ((),)
    assert batch.apply(released, [assign("b")], NOW + 60 * 10**9, 60).results == ((address(2),),)


def test_a_handle_counts_per_block_and_never_below_zero() -> None:
    one = counted(None, "Net.a", "10.65.0.0/30", 2)
    assert one is not None and (one.name, one.spec.handle_id) == ("net.a", "Net.a")
    two = counted(one, "Net.a", "10.65.0.4/30", 1)
    assert two is not None and two.spec.block == {"10.65.0.0/30": 2, "10.65.0.4/30": 1}
    left = counted(two, "Net.a", "10.65.0.0/30", -5)
    assert left is not None and left.spec.block == {"10.65.0.4/30": 1}
    assert counted(left, "Net.a", "10.65.0.4/30", -1) is None
    assert counted(None, "Net.a", "10.65.0.4/30", -1) is None


operations = st.one_of(
    st.builds(assign, st.sampled_from("abc"), st.integers(1, 3)),
    st.builds(
        lambda handle, ordinal: AssignExactly(handle, {}, address(ordinal)), st.sampled_from("abc"), st.integers(0, 3)
    ),
    st.builds(lambda ordinal: Release(address(ordinal)), st.integers(0, 3)),
    st.builds(ReleaseHandle, st.sampled_from("abc")),
)


@given(st.lists(operations, max_size=12))
def test_a_batch_is_as_its_operations_one_by_one(batched: list[Operation]) -> None:
    """But for the sequence, which one write moves by one."""
    together = batch.apply(BLOCK, batched, NOW, 0)
    state, counts = BLOCK, dict[str, int]()
    for operation, result in zip(batched, together.results, strict=True):
        alone = batch.apply(state, [operation], NOW, 0)
        assert repr(alone.results[0]) == repr(result)
        state = alone.block
        for handle, change in alone.handles.items():
            counts[handle] = counts.get(handle, 0) + change
    assert together.handles == counts
    assert together.block.spec.allocations == state.spec.allocations
    assert together.block.spec.unallocated == state.spec.unallocated
    assert blocks.faults(together.block) == ()


@pytest.mark.parametrize("ordinal", [0, 3])
def test_reserved_addresses_are_left_out_unless_named(ordinal: int) -> None:
    reserved = Reserved.of([ip_network("10.65.0.0/31"), ip_network("10.65.0.3/32")], 4)
    assert batch.apply(BLOCK, [AssignAny("a", {}, 4, reserved)], NOW, 0).results == ((address(2),),)
    named = AssignExactly("a", {}, ip_address(f"10.65.0.{ordinal}"))
    assert batch.apply(BLOCK, [named], NOW, 0).results == ((address(ordinal),),)
