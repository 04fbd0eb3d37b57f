"""What follows from IPAM's records and the endpoints beside them."""

from __future__ import annotations

from msgspec.structs import replace

from datastore.fields import address
from felixctl.ipam.records import attributes_text, workload_title
from tests.felixctl.ipam.cluster import BLOCKS, CLUSTER, ENDPOINTS


def test_addresses_in_use_are_those_of_pods_and_of_tunnels() -> None:
    assert CLUSTER.in_use == {**CLUSTER.tunnels, **CLUSTER.workloads}
    assert set(CLUSTER.workloads.values()) == {workload_title(endpoint) for endpoint in ENDPOINTS}


def test_an_address_that_cools_down_is_not_assigned() -> None:
    [block] = [block for block in BLOCKS if address("10.65.77.7") in block.network]
    [one] = [one for one in CLUSTER.allocations if str(one.address) == "10.65.77.7"]
    attributes = block.spec.attributes[block.spec.allocations[7] or 0]
    released = attributes.model_copy(update={"released_at": "2026-11-28T21:00:00Z"})
    cooling = replace(CLUSTER, blocks=[block.with_spec(attributes=(released,))])
    assert one in CLUSTER.allocations
    assert cooling.allocations == ()


def test_handles_should_count_what_the_blocks_hold_for_them() -> None:
    assert CLUSTER.counts == {
        handle.spec.handle_id: dict(handle.spec.block) for handle in CLUSTER.handles if handle.spec.block
    }


def test_an_allocation_is_printed_with_handle_and_sorted_attributes() -> None:
    [one] = [one for one in CLUSTER.allocations if str(one.address) == "10.65.77.7"]
    assert attributes_text(one._replace(handle=None, attributes={"b": "2", "a": "1"})) == "Main:<none> Extra:a=1,b=2"
