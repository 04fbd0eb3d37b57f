"""Which blocks a check reads, and what becomes of one that cannot be read."""

from __future__ import annotations

from ipaddress import ip_network

from datastore.record import Resource
from datastore.store import Changed
from felix_py.own_blocks import concerning, read_blocks
from felix_py.snapshot import Snapshot
from net.prefix import Prefix
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fake_node import affinity, block, endpoint, pool


def snapshot_of(*resources: Resource) -> Snapshot:
    snapshot = Snapshot("n1")
    for resource in resources:
        snapshot.fold(Changed(resource))
    return snapshot


def test_a_node_is_concerned_by_its_own_blocks_and_those_that_its_pods_borrowed_from() -> None:
    pods = endpoint("10.65.1.2/32"), endpoint("10.65.9.70/32", "c2", "lent"), endpoint("172.20.0.1/32", "c3", "apart")
    wanted = concerning(snapshot_of(pool(), affinity(), affinity("10.65.2.0/26", "n2"), *pods))
    assert wanted.cidrs == {ip_network("10.65.1.0/26"), ip_network("10.65.9.64/26")}
    assert wanted.homeless == {Prefix.parse("172.20.0.1/32")}


async def test_a_block_that_cannot_be_read_is_unknown_and_one_that_is_not_there_is_none() -> None:
    sound, broken = block("10.65.1.0/26", "n1"), block("10.65.2.0/26", "n1")
    store = MemoryStore(sound, broken)
    store.spoil(broken)
    claims = (affinity("10.65.1.0/26"), affinity("10.65.2.0/26"), affinity("10.65.3.0/26"))
    found = await read_blocks(store, concerning(snapshot_of(pool(), *claims)))
    assert [one.spec.cidr for one in found.blocks] == ["10.65.1.0/26"]
    assert found.unknown == {Prefix.parse("10.65.2.0/26")}
    assert [(notice.kind, notice.name) for notice in found.notices] == [("IPAMBlock", "10-65-2-0-26")]
