"""A datastore damaged on purpose, in each way of `ipam check`: found, told how it came about, repaired where safe."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import datastore
from datastore import fields
from datastore.errors import NotFound
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.resources import read
from datastore.store import Create, Delete, Store, Update, Write
from felixctl.ipam import check, repair_apply, repair_plan
from felixctl.ipam.problems import Problems, problems
from felixctl.ipam.read_records import read_records
from ipam.allocator import AddressesWanted, Allocator
from ipam.block import allocations, faults
from ipam.names import claim_time_ns
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed, records
from tests.felixctl.ipam.test_commands import store_all
from tests.felixctl.ipam.test_golden_ipam import ENDPOINTS

PATHS = ("ippools", "ipamblocks", "ipamhandles", "nodes", "blockaffinities", "clusterinformations")
NODE_3 = "10-65-77-0-26"  # its block holds 10.65.77.7 of pod db-1 alone
DB_HANDLE = "k8s-pod-network.68150cfc45bd62a7a166bb670b0a71ae123ece23eecdfe60aaf0a84e0bcb703d"
DB = "node--3-k8s-db--1-eth0"

Damage = Callable[[Store], Awaitable[object]]


def calicos() -> list[Resource]:
    return [read(record) for path in PATHS for record in records(f"crs/{path}.yaml")]


async def filled() -> Store:
    store = datastore.open("sqlite:///:memory:")
    await store.write(*(Create(one) for one in calicos()), *(Create(endpoint) for endpoint in ENDPOINTS))
    return store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await filled()
    yield opened
    await opened.close()


async def found(store: Store) -> Problems:
    return problems(await read_records(store))


async def change_block(store: Store, **spec: object) -> None:
    block = await store.get(IPAMBlock, NODE_3)
    await store.update(block.with_spec(**spec))


async def delete_endpoint(store: Store) -> None:
    await store.delete(await store.get(WorkloadEndpoint, DB, "default"))


async def delete_node(store: Store) -> None:
    await store.delete(await store.get(Node, "node-3"))
    await delete_endpoint(store)


async def attach_anew(store: Store) -> None:
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    await store.update(endpoint.with_spec(ip_networks=("10.65.84.140/32",)))


async def disable_pool(store: Store) -> None:
    [pool] = (await store.list(IPPool)).objects
    await store.write(Update(pool.with_spec(disabled=True)), Delete(await store.get(IPAMBlock, NODE_3)))


async def lose_allocation(store: Store) -> None:
    """As an older copy of the block would say."""
    await change_block(store, allocations=(None,) * 64, unallocated=tuple(range(64)), attributes=())


async def lose_handle(store: Store) -> None:
    await store.delete(await store.get(IPAMHandle, DB_HANDLE))


async def idle_handle(store: Store) -> None:
    await store.create(IPAMHandle.make("gone", handle_id="gone", block={"10.65.77.0/26": 1}, deleted=False))


async def miscount(store: Store) -> None:
    handle = await store.get(IPAMHandle, DB_HANDLE)
    await store.update(handle.with_spec(block={"10.65.77.0/26": 3, "10.65.84.128/26": 1}))


async def free_and_taken(store: Store) -> None:
    await change_block(store, unallocated=tuple(range(64)))


async def lose_from_queue(store: Store) -> None:
    await change_block(store, unallocated=tuple(range(10, 64)))


async def unknown_owner(store: Store) -> None:
    block = await store.get(IPAMBlock, NODE_3)
    slots = list(block.spec.allocations)
    slots[20] = 9
    await change_block(store, allocations=tuple(slots), unallocated=tuple(o for o in range(64) if o not in (7, 20)))


async def owner_lost_in_use(store: Store) -> None:
    await change_block(store, attributes=())


async def lose_affinity(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.delete(affinity)


async def lose_block(store: Store) -> None:
    await delete_endpoint(store)
    await lose_handle(store)
    await store.delete(await store.get(IPAMBlock, NODE_3))


async def half_claim(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.update(affinity.with_spec(state="pending"))


async def two_claims(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    twin = affinity.with_spec(node="node-1").with_metadata(name="node-1-10-65-77-0-26", resource_version=None, uid=None)
    await store.create(twin)


async def lose_labels(store: Store) -> None:
    [affinity] = [a for a in (await store.list(BlockAffinity)).objects if a.spec.node == "node-3"]
    await store.update(affinity.with_metadata(labels=None))


async def twin_endpoint(store: Store) -> None:
    endpoint = await store.get(WorkloadEndpoint, DB, "default")
    twin = endpoint.with_metadata(name="node--3-k8s-db--2-eth0", resource_version=None, uid=None)
    await store.create(twin.with_spec(pod="db-2"))


async def overlapping_block(store: Store) -> None:
    await store.create(
        IPAMBlock.make(
            "10-65-77-32-28",
            cidr="10.65.77.32/28",
            strict_affinity=False,
            deleted=False,
            allocations=(None,) * 16,
            unallocated=tuple(range(16)),
            attributes=(),
        )
    )


DAMAGES: list[tuple[Damage, str, str, bool]] = [
    (delete_endpoint, "unused", "pod default/db-1 was deleted and its release was lost", True),
    (delete_node, "unused", "node node-3 was removed before its agent released it", True),
    (attach_anew, "unused", "pod default/db-1 was attached again and has 10.65.84.140 now", True),
    (disable_pool, "outside", "pool default-ipv4-ippool was disabled", False),
    (lose_allocation, "unassigned", "it was released while in use", True),
    (lose_handle, "lost_handles", "is missing: it was deleted by hand", True),
    (idle_handle, "idle_handles", "handle gone owns no address: an assignment or a release was cut off", True),
    (miscount, "miscounts", "counts 3 in 10.65.77.0/26, 1 in 10.65.84.128/26, and the blocks hold 1 in", True),
    (free_and_taken, "broken_blocks", "assigned and free at once: [7]", True),
    (lose_from_queue, "broken_blocks", "neither assigned nor free", True),
    (unknown_owner, "broken_blocks", "allocations name attributes that do not exist: [9]", True),
    (owner_lost_in_use, "broken_blocks", "allocations name attributes that do not exist: [0]", False),
    (overlapping_block, "broken_blocks", "block 10.65.77.32/28: it lies in block 10.65.77.0/26", False),
    (lose_affinity, "affinities", "it names node node-3, which has no affinity for it", True),
    (lose_block, "affinities", "there is no such block", True),
    (half_claim, "affinities", "it is pending: a claim or a release was cut off half way", True),
    (two_claims, "affinities", "the block belongs to node node-3: two nodes claimed it at once", True),
    (lose_labels, "affinities", "it lacks the labels that it is listed by", True),
    (twin_endpoint, "shared", "10.65.77.7 belongs to two endpoints", False),
    (twin_endpoint, "mistaken", "10.65.77.7 is used by", False),
]


@pytest.mark.parametrize(("damage", "kind", "sentence", "safe"), DAMAGES)
async def test_each_damage_is_found_told_and_repaired(
    store: Store, damage: Damage, kind: str, sentence: str, safe: bool
) -> None:
    assert (await found(store)).count == 0
    await damage(store)
    sentences = getattr(await found(store), kind)
    assert any(sentence in told for told in sentences), sentences
    for _ in range(3):  # an emptied block of a node that is gone can be given up only then
        plan = repair_plan.planned(await read_records(store), time.time_ns())
        done = await repair_apply.carry_out(store, plan)
        assert [one.refusal for one in done] == [None] * len(done)
    left = await found(store)
    assert (left.count == 0) is safe, left
    assert not repair_plan.planned(await read_records(store), time.time_ns())


async def test_an_address_given_out_a_moment_ago_is_left_to_its_pod(store: Store) -> None:
    await delete_endpoint(store)
    look = await read_records(store)
    [db] = [one for one in look.allocations if str(one.address) == "10.65.77.7"]
    given_ns = claim_time_ns(db.attributes["timestamp"][:19])
    assert repair_plan.planned(look, given_ns + 60 * 10**9) == []
    assert repair_plan.planned(look, given_ns + 600 * 10**9) != []


async def test_what_was_assigned_anew_since_the_plan_is_left_alone(store: Store) -> None:
    await delete_endpoint(store)
    plan = repair_plan.planned(await read_records(store), time.time_ns())
    await change_block(store, sequence_number_for_allocation={"7": 4711})
    [done] = await repair_apply.carry_out(store, plan)
    assert "assigned again" in (done.refusal or "")


async def test_a_repair_that_fails_does_not_keep_others_from_being_done(store: Store) -> None:
    await idle_handle(store)
    plan = repair_plan.planned(await read_records(store), time.time_ns())
    missing = repair_plan.Repair("mend a block that is gone", repair_plan.RewriteBlock(fields.network("10.99.0.0/26")))
    first, second = await repair_apply.carry_out(store, [missing, *plan])
    assert (first.refusal is None, second.refusal) == (False, None)


class Interrupted:
    """A store that cannot write several objects at once; before the first write of a block, something happens."""

    atomic = False

    def __init__(self, store: Store, happening: Callable[[], Awaitable[object]]) -> None:
        self._store, self._happenings = store, [happening]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        if self._happenings and isinstance(writes[0], Update) and isinstance(writes[0].resource, IPAMBlock):
            await self._happenings.pop()()
        return await self._store.write(*writes)


async def test_a_pod_that_is_just_coming_keeps_its_address_and_its_handle(store: Store) -> None:
    """Its handle counts already, its block does not: that looks idle, and is repaired at this very moment."""

    async def repair() -> None:
        plan = repair_plan.planned(await read_records(store), time.time_ns())
        assert [step.sentence for step in plan] == ["delete handle n.new"]
        await repair_apply.carry_out(store, plan)

    allocator = Allocator(Interrupted(store, repair))
    given = await allocator.assign(
        AddressesWanted("node-3", "n.new", {"pod": "new", "namespace": "default", "node": "node-3"})
    )
    look = await read_records(store)
    [one] = [one for one in look.allocations if one.handle == "n.new"]
    assert given.ipv4 == (one.address,)
    [handle] = [handle for handle in look.handles if handle.name == "n.new"]
    assert handle.spec.block == {str(one.block): 1}


def garble(path: Path, kind: str, name: str, field: str) -> None:
    """Make a record unreadable, as another program may."""
    with sqlite3.connect(path / "cluster.db") as connection:
        connection.execute(
            "UPDATE object SET record = json_set(record, ?, 3) WHERE kind = ? AND name = ?", (field, kind, name)
        )


def test_a_record_that_nobody_can_read_is_found(damaged: Felixctl, tmp_path: Path) -> None:
    damaged("ipam", "check", "--fix", "--yes")
    garble(tmp_path, "IPAMBlock", "10-65-84-128-26", "$.spec.cidr")
    ended = damaged("ipam", "check")
    assert (ended.status, ended.err) == (1, "")
    assert 'IPAMBlock "10-65-84-128-26": spec.cidr' in ended.out


def test_nothing_is_freed_while_an_endpoint_cannot_be_read(damaged: Felixctl, tmp_path: Path) -> None:
    garble(tmp_path, "WorkloadEndpoint", "node--1-k8s-web--1-eth0", "$.spec.ipNetworks")
    ended = damaged("ipam", "check", "--fix", "--yes")
    assert "None of these can be repaired safely now" in ended.out
    ended = damaged("ipam", "release", "--ip", "10.65.84.128")
    assert (ended.status, "it is not known what is in use" in ended.err) == (1, True)
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.84.128").out


damages = st.lists(st.sampled_from([damage for damage, *_ in DAMAGES]), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, deadline=None)
@example([half_claim, two_claims, lose_block])
@example([delete_endpoint, disable_pool, half_claim, two_claims])
@given(damages)
async def test_whatever_is_damaged_no_repair_takes_an_address_from_its_user(chosen: list[Damage]) -> None:
    store = await filled()
    for damage in chosen:
        try:
            await damage(store)
        except (NotFound, ValueError):
            continue  # an earlier damage has taken what this one breaks
    before = await owned(store)
    for _ in range(4):
        await repair_apply.carry_out(store, repair_plan.planned(await read_records(store), time.time_ns()))
    assert before <= await owned(store)
    for block in (await store.list(IPAMBlock)).objects:
        if "attributes that do not exist" not in " ".join(faults(block)):
            assert faults(block) == ()
    assert repair_plan.planned(await read_records(store), time.time_ns()) == []
    await store.close()


async def owned(store: Store) -> set[tuple[str, str | None]]:
    """Return the addresses that pods use and have, each with its handle."""
    used = {address for endpoint in (await store.list(WorkloadEndpoint)).objects for address in endpoint.addresses}
    return {
        (str(one.address), one.handle)
        for block in (await store.list(IPAMBlock)).objects
        for one in allocations(block)
        if one.address in used
    }


@pytest.fixture
def damaged(felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Felixctl:
    """A cluster in which pod db-1 went without its release."""
    monkeypatch.setattr(check, "RECHECK_SECONDS", 0)
    store_all(tmp_path, calicos())
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-workloadendpoints.yaml"))
    felixctl("delete", "wep", DB)
    return felixctl


def test_a_fix_shows_its_plan_and_asks(damaged: Felixctl) -> None:
    ended = damaged("ipam", "check", "--fix", stdin="n\n")
    assert (ended.status, f"1. release 10.65.77.7 of {DB_HANDLE}" in ended.out) == (1, True)
    assert ended.out.endswith("Nothing was changed.\n")
    ended = damaged("ipam", "check", "--fix", stdin="y\n")
    assert (ended.status, ended.out.splitlines()[-1]) == (0, "0 problems are left.")
    assert damaged("ipam", "show", "--ip", "10.65.77.7").out == "10.65.77.7 is not assigned\n"


def test_a_fix_can_be_done_unasked(damaged: Felixctl) -> None:
    assert damaged("ipam", "check", "--fix", "--yes").status == 0
    assert damaged("ipam", "check").status == 0
    assert damaged("ipam", "check", "--yes").status == 2


def report(felixctl: Felixctl, path: Path) -> dict[str, object]:
    felixctl("ipam", "check", "-o", str(path))
    read: dict[str, object] = json.loads(path.read_text())
    return read


def test_a_report_has_calicoctls_fields(damaged: Felixctl, tmp_path: Path) -> None:
    written = report(damaged, tmp_path / "a.json")
    assert list(written) == [
        "version",
        "clusterGUID",
        "datastoreLocked",
        "clusterInformationRevision",
        "clusterType",
        "allocations",
        "leakedHandles",
    ]
    assert (written["clusterGUID"], written["datastoreLocked"]) == ("00112233445566778899aabbccddeeff", False)
    allocations = written["allocations"]
    assert isinstance(allocations, dict)
    [entry] = allocations["10.65.77.7"]
    assert (entry["inUse"], entry["owners"], entry["handle"], entry["node"]) == (False, [], DB_HANDLE, "node-3")
    [entry] = allocations["10.65.84.128"]
    assert (entry["inUse"], entry["owners"]) == (True, ["Workload(default/node--1-k8s-web--1-eth0)"])


def test_a_release_by_report_needs_a_lock_and_the_same_cluster(damaged: Felixctl, tmp_path: Path) -> None:
    unlocked, locked, foreign = (tmp_path / name for name in ("unlocked.json", "locked.json", "foreign.json"))
    report(damaged, unlocked)
    ended = damaged("ipam", "release", "--from-report", str(unlocked))
    assert (ended.status, "the datastore is not locked" in ended.err, "nothing was released" in ended.err) == (
        1,
        True,
        True,
    )
    assert damaged("datastore", "lock").out == "Datastore locked.\n"
    ended = damaged("ipam", "release", "--from-report", str(unlocked))
    assert "was written before the datastore was locked" in ended.err
    read = report(damaged, locked)
    foreign.write_text(json.dumps(read | {"clusterGUID": "another"}))
    for force in ([], ["--force"]):
        ended = damaged("ipam", "release", "--from-report", str(foreign), *force)
        assert (ended.status, "is about cluster another" in ended.err) == (1, True)
    foreign.write_text(json.dumps(read | {"version": "v0.0.0"}))
    assert "is from version v0.0.0" in damaged("ipam", "release", "--from-report", str(foreign)).err
    ended = damaged("ipam", "release", "--from-report", str(locked))
    assert (ended.status, ended.out) == (0, "  release 10.65.77.7: done\n")
    assert damaged("datastore", "unlock").out == "Datastore unlocked.\n"
    assert damaged("ipam", "check").status == 0


def test_only_what_all_reports_call_leaked_is_released(damaged: Felixctl, tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    damaged("datastore", "lock")
    report(damaged, one)
    damaged("delete", "wep", "node--1-k8s-web--1-eth0")
    report(damaged, other)
    ended = damaged("ipam", "release", "--from-report", str(one), "--from-report", str(other))
    assert ended.out == "  release 10.65.77.7: done\n"
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.84.128").out


def test_an_address_in_use_again_is_not_released_by_an_old_report(damaged: Felixctl, tmp_path: Path) -> None:
    report(damaged, tmp_path / "a.json")
    [db] = [endpoint for endpoint in ENDPOINTS if endpoint.name == DB]
    damaged("apply", "-f", "-", stdin=db.with_metadata(resource_version=None).to_text())
    ended = damaged("ipam", "release", "--force", "--from-report", str(tmp_path / "a.json"))
    assert "10.65.77.7: Workload(default/node--3-k8s-db--1-eth0) uses it now: left alone" in ended.out
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.77.7").out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 3}', "null"])
def test_what_is_no_report_is_told(damaged: Felixctl, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    ended = damaged("ipam", "release", "--from-report", str(tmp_path / "a.json"))
    assert (ended.status, "it is no report" in ended.err) == (1, True)


def test_a_locked_datastore_is_locked_once(damaged: Felixctl) -> None:
    assert damaged("datastore", "migrate", "lock").out == "Datastore locked.\n"
    assert damaged("datastore", "lock").out == "It is locked already.\n"
    assert "false" in damaged("get", "clusterinfo").out
    assert damaged("datastore", "unlock").out == "Datastore unlocked.\n"
    assert damaged("datastore", "unlock").out == "It is not locked.\n"


def test_a_pool_is_split_while_locked_and_pods_keep_their_addresses(damaged: Felixctl) -> None:
    split = ("ipam", "split", "4", "--name", "default-ipv4-ippool")
    assert "the datastore is not locked" in damaged(*split).err
    damaged("datastore", "lock")
    before = damaged("get", "blocks").out
    assert damaged(*split).status == 0
    assert damaged("get", "ippools", "-o", "jsonpath={.items[*].spec.cidr}").out == (
        "10.65.0.0/18 10.65.64.0/18 10.65.128.0/18 10.65.192.0/18"
    )
    names = damaged("get", "ippools", "-o", "name").out.split()
    assert names[0] == "ippool/split-default-ipv4-ippool-0"
    assert damaged("get", "blocks").out == before


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["3", "--cidr", "10.65.0.0/16"], 2, "3 is not a power of two"),
        (["2"], 2, "give --name or --cidr"),
        (["2", "--cidr", "10.9.0.0/16"], 1, "there is no such pool"),
        (["2048", "--cidr", "10.65.0.0/16"], 1, "at most 1024 parts"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    damaged: Felixctl, arguments: list[str], status: int, sentence: str
) -> None:
    ended = damaged("ipam", "split", *arguments)
    assert (ended.status, sentence in ended.err) == (status, True)
