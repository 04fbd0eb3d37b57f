"""Which repairs are planned."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Store, Unreadable
from felixctl.ipam import repair_plan
from felixctl.ipam.problems import problems
from felixctl.ipam.read_records import read_records
from felixctl.ipam.records import IpamRecords
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


async def without(store: Store, kind: type[Resource], name: str) -> IpamRecords:
    """The records in which one cannot be read."""
    records = await read_records(store)
    lists = {field: [one for one in getattr(records, field) if (type(one), one.name) != (kind, name)]
             for field in ("blocks", "pools", "nodes", "endpoints", "handles", "affinities")}  # fmt: skip
    return replace(records, **lists, unread=[Unreadable(kind, name, None, f"{name}: broken")])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (IPAMBlock, "10-65-84-128-26"),
        (IPAMBlock, "10-65-77-0-26"),
        (IPAMHandle, DB_HANDLE),
        (BlockAffinity, "node-1-10-65-84-128-26"),
        (Node, "node-1"),
        (Node, "node-2"),
        (IPPool, "default-ipv4-ippool"),
    ],
)
async def test_a_record_that_cannot_be_read_is_named_and_asks_for_no_repair(
    store: Store, kind: type[Resource], name: str
) -> None:
    records = await without(store, kind, name)
    assert f"{name}: broken" in problems(records).broken_blocks
    assert repair_plan.planned(records, time.time_ns()) == []


async def test_it_holds_up_only_what_depends_on_it(store: Store) -> None:
    await delete_endpoint(store)
    for kind, name in ((IPAMBlock, "10-65-84-128-26"), (IPAMHandle, DB_HANDLE), (Node, "node-1")):
        plan = repair_plan.planned(await without(store, kind, name), time.time_ns())
        assert [repair.sentence for repair in plan] == [f"release 10.65.77.7 of {DB_HANDLE}"]
    records = await without(store, WorkloadEndpoint, "node--1-k8s-web--1-eth0")
    assert repair_plan.planned(records, time.time_ns()) == [], "its pod may use any address"
