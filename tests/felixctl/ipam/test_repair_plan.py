"""Which repairs are planned."""

from __future__ import annotations

from dataclasses import replace

from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store
from felixctl.ipam import repair_plan
from felixctl.ipam.read_records import read_records
from ipam.names import claim_time_ns
from tests.felixctl.ipam.cluster import DB, DB_HANDLE
from tests.felixctl.ipam.damages import delete_endpoint, lose_allocation


async def test_an_address_assigned_a_moment_ago_is_left_to_its_pod(store: Store) -> None:
    await delete_endpoint(store)
    records = await read_records(store)
    [db] = [one for one in records.allocations if str(one.address) == "10.65.77.7"]
    given_ns = claim_time_ns(db.attributes["timestamp"][:19])
    assert repair_plan.planned(records, given_ns + 60 * 10**9) == []
    assert repair_plan.planned(records, given_ns + 600 * 10**9) != []


async def test_an_address_is_assigned_to_the_attachment_that_uses_it(store: Store) -> None:
    await lose_allocation(store)
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    named = endpoint.with_spec(endpoint="net1").with_metadata(annotations={"felix-py/network": "net-b"})
    await store.update(named)
    sentences = [repair.sentence for repair in repair_plan.planned(await read_records(store), 0)]
    assert any(f"10.65.77.7 to net-b.{endpoint.spec.container_id}:net1" in one for one in sentences), sentences


async def test_what_another_nodes_pod_borrows_is_not_given_back_with_a_node(store: Store) -> None:
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    await store.update(endpoint.with_spec(node="node-1"))
    records = await read_records(store)
    assert repair_plan.of_node("node-3", records) == []


async def test_a_node_that_is_gone_gives_back_endpoints_then_addresses_then_blocks(store: Store) -> None:
    sentences = [repair.sentence for repair in repair_plan.of_node("node-3", await read_records(store))]
    assert sentences == [
        f"delete endpoint default/{DB}",
        f"release 10.65.77.7 of {DB_HANDLE}",
        "release block 10.65.77.0/26 of node node-3",
    ]


async def test_an_endpoint_without_its_device_gives_its_address_back_at_once(store: Store) -> None:
    records = replace(await read_records(store), without_device={("default", DB)})
    assert [repair.sentence for repair in repair_plan.planned(records, 0)] == [
        f"delete endpoint default/{DB}",
        f"release 10.65.77.7 of {DB_HANDLE}",
    ]
