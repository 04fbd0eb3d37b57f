"""One block: the steps, held against the blocks that Calico left behind and against what must always hold."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.kinds.ipam import IPAMBlock
from ipam import block as blocks
from ipam.errors import AlreadyAssigned
from ipam.names import WINDOWS_HANDLE
from tests.ipam.records import calico

RECORDS = calico("crs/ipamblocks.yaml")
NOW = 1767366245_000000000
SMALL = blocks.new_block(ip_network("10.65.0.0/30"), "n1", NOW)
STORED = ("annotations", "creationTimestamp", "generation", "resourceVersion", "uid")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["metadata"]["name"])
def test_replaying_calicos_assignments_gives_calicos_record(record: dict[str, Any]) -> None:
    spec = record["spec"]
    first = min(spec["sequenceNumberForAllocation"].values())
    replayed = blocks.new_block(ip_network(spec["cidr"]), spec["affinity"].removeprefix("host:"), first)
    replayed = replayed.with_spec(affinity_claim_time=spec["affinityClaimTime"])
    for ordinal, sequence in spec["sequenceNumberForAllocation"].items():
        while replayed.spec.sequence_number < sequence:
            replayed = blocks.with_next_sequence(replayed)
        owner = spec["attributes"][spec["allocations"][int(ordinal)]]
        replayed = blocks.assign_at(replayed, int(ordinal), owner["handle_id"], owner["secondary"])
        replayed = blocks.with_next_sequence(replayed)
    assert replayed.to_json()["spec"] == spec
    assert replayed.name == record["metadata"]["name"]
    assert blocks.faults(replayed) == ()


def test_automatic_assignment_takes_the_ordinals_that_calico_took() -> None:
    record = next(record for record in RECORDS if record["spec"]["affinity"] == "host:node-1")
    block = blocks.new_block(ip_network(record["spec"]["cidr"]), "node-1", NOW)
    for owner in record["spec"]["attributes"]:
        block, _ = blocks.assign(block, 1, owner["handle_id"], owner["secondary"])
    assert list(block.spec.allocations) == record["spec"]["allocations"]
    assert list(block.spec.unallocated) == record["spec"]["unallocated"]


def test_a_fresh_block_is_all_free_and_starts_at_the_time() -> None:
    assert SMALL.spec.allocations == (None,) * 4
    assert SMALL.spec.unallocated == (0, 1, 2, 3)
    assert SMALL.spec.sequence_number == NOW
    assert SMALL.spec.strict_affinity is False
    assert SMALL.to_json()["spec"]["affinityClaimTime"] == "2026-01-02T15:04:05Z"
    assert blocks.is_empty(SMALL)


def test_addresses_are_used_again_as_late_as_possible() -> None:
    block, used = SMALL, []
    for number in range(5):
        block, (ordinal,) = blocks.assign(block, 1, f"h{number}", {})
        used.append(ordinal)
        block = blocks.release(block, (ordinal,))
    assert used == [0, 1, 2, 3, 0]


def test_reserved_addresses_keep_their_place_in_the_queue() -> None:
    block, ordinals = blocks.assign(SMALL, 4, "h", {}, reserved={0, 2})
    assert ordinals == (1, 3)
    assert block.spec.unallocated == (0, 2)
    assert not blocks.has_free(block, {0, 2}) and blocks.has_free(block, {0})


def test_owners_that_are_the_same_share_an_entry() -> None:
    block, _ = blocks.assign(SMALL, 1, "h", {"pod": "a"})
    block, _ = blocks.assign(block, 1, "h", {"pod": "a"})
    block, _ = blocks.assign(block, 1, "h", {"pod": "b"})
    assert block.spec.allocations == (0, 0, 1, None)


def test_an_allocation_remembers_the_sequence_before_its_write() -> None:
    block, _ = blocks.assign(SMALL, 1, "h", {})
    assert block.spec.sequence_number_for_allocation == {"0": NOW}
    assert blocks.with_next_sequence(block).spec.sequence_number == NOW + 1


def test_releasing_drops_unused_owners_and_renumbers_the_others() -> None:
    block = SMALL
    for handle in "abc":
        block, _ = blocks.assign(block, 1, handle, {})
    block = blocks.release(block, (0,))
    assert [owner.handle_id for owner in block.spec.attributes] == ["b", "c"]
    assert block.spec.allocations == (None, 0, 1, None)
    assert block.spec.unallocated == (3, 0)
    assert block.spec.sequence_number_for_allocation.keys() == {"1", "2"}


def test_an_address_in_use_is_not_assigned_by_name() -> None:
    block = blocks.assign_at(SMALL, 2, "h", {})
    with pytest.raises(AlreadyAssigned, match=r"10\.65\.0\.2 to other: it belongs to h"):
        blocks.assign_at(block, 2, "other", {})


def test_a_released_address_cools_down_as_long_as_the_cluster_says() -> None:
    block, _ = blocks.assign(SMALL, 2, "h", {})
    block = blocks.release(block, (0, 1), NOW, cooldown_seconds=60)
    assert blocks.held_by(block, "h") == ()
    assert not blocks.is_empty(block)
    assert [allocation.released for allocation in blocks.allocations(block)] == [True, True]
    assert blocks.assigned_in([block]) == ()
    with pytest.raises(AlreadyAssigned, match="cools down"):
        blocks.assign_at(block, 0, "other", {})
    assert blocks.free_cooled_down(block, NOW + 59 * 10**9, 60) is block
    rested = blocks.free_cooled_down(block, NOW + 60 * 10**9, 60)
    assert rested.spec.unallocated == (2, 3, 0, 1)
    assert blocks.faults(block) == blocks.faults(rested) == ()


def test_a_windows_hosts_reservations_are_kept_and_leave_the_block_empty() -> None:
    block = SMALL
    for ordinal in (0, 1, 3):
        block = blocks.assign_at(block, ordinal, WINDOWS_HANDLE, {})
    assert blocks.is_empty(block)
    block, (ordinal,) = blocks.assign(block, 1, "pod", {})
    assert ordinal == 2 and not blocks.is_empty(block)
    block = blocks.release(block, (2,))
    assert blocks.held_by(block, WINDOWS_HANDLE) == (0, 1, 3)


def test_what_we_do_not_know_in_a_record_survives_every_step() -> None:
    record = SMALL.to_json()
    record["spec"]["laterField"] = {"a": 1}
    record["spec"]["attributes"] = [{"handle_id": "vm", "alternateOwnerAttrs": {"pod": "b"}, "newer": True}]
    record["spec"]["allocations"] = [0, None, None, None]
    record["spec"]["unallocated"] = [1, 2, 3]
    block, _ = blocks.assign(IPAMBlock.read(record), 1, "h", {})
    block = blocks.with_next_sequence(blocks.release(block, (1,)))
    after = block.to_json()["spec"]
    assert after["laterField"] == {"a": 1}
    assert after["attributes"] == record["spec"]["attributes"]


def test_a_disowned_block_says_nothing_of_a_host() -> None:
    spec = blocks.without_affinity(SMALL).to_json()["spec"]
    assert not {"affinity", "affinityClaimTime"} & spec.keys()


def test_a_corrupt_handle_is_found_by_its_first_line() -> None:
    block = blocks.assign_at(SMALL, 0, "net.abc\rjunk", {})
    assert blocks.held_by(block, "net.abc") == (0,)
    assert next(blocks.allocations(block)).handle == "net.abc"


def test_faults_are_named() -> None:
    broken = SMALL.with_spec(allocations=(7, None, None, None), unallocated=(0, 1, 1, 9))
    assert len(blocks.faults(broken)) == 5


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("assign"), st.integers(1, 3), st.sampled_from("abc"), st.sampled_from("xy")),
            st.tuples(st.just("release"), st.integers(0, 7), st.just(""), st.just("")),
            st.tuples(st.just("rest"), st.integers(0, 7), st.just(""), st.just("")),
        ),
        max_size=40,
    ),
    st.sets(st.integers(0, 7), max_size=3),
)
def test_every_address_is_either_free_or_assigned_whatever_happens(
    steps: list[tuple[str, int, str, str]], reserved: set[int]
) -> None:
    block = blocks.new_block(ip_network("fd00::/125"), "n1", NOW)
    owners: dict[int, str] = {}
    for now, (step, number, handle, pod) in enumerate(steps, NOW // 10**9):
        before = block
        match step:
            case "assign":
                block, ordinals = blocks.assign(block, number, handle, {"pod": pod}, reserved)
                assert not reserved & set(ordinals) and not owners.keys() & set(ordinals)
                owners |= dict.fromkeys(ordinals, handle)
            case "release" | "rest" if number in owners:
                del owners[number]
                block = blocks.release(block, (number,), now * 10**9, 5 if step == "rest" else 0)
        block = blocks.with_next_sequence(blocks.free_cooled_down(block, now * 10**9, 5))
        assert blocks.faults(block, now * 10**9) == ()
        assert before.spec.sequence_number < block.spec.sequence_number
        assert owners == {
            blocks.ordinal_of(block, allocation.address): allocation.handle
            for allocation in blocks.allocations(block)
            if not allocation.released
        }
        assert IPAMBlock.read(block.to_json()) == block


def test_ordinals_count_from_the_first_address() -> None:
    assert blocks.address_of(SMALL, 3) == ip_address("10.65.0.3")
    assert blocks.ordinal_of(SMALL, ip_address("10.65.0.3")) == 3
