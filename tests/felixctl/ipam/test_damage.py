"""A datastore damaged on purpose, in each way of `ipam check`: found, explained, repaired where safe."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datastore.errors import NotFound
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store
from felixctl.ipam import repair_apply, repair_plan
from felixctl.ipam.problems import Problems, problems
from felixctl.ipam.read_records import read_records
from ipam.block import allocations, faults
from tests.felixctl.ipam.cluster import filled
from tests.felixctl.ipam.damages import (
    DAMAGES,
    Damage,
    delete_endpoint,
    disable_pool,
    half_claim,
    lose_block,
    two_claims,
)


async def found(store: Store) -> Problems:
    return problems(await read_records(store))


@pytest.mark.parametrize(("damage", "kind", "sentence", "safe"), DAMAGES)
async def test_each_damage_is_found_explained_and_repaired_if_that_is_safe(
    store: Store, damage: Damage, kind: str, sentence: str, safe: bool
) -> None:
    assert (await found(store)).count == 0
    await damage(store)
    sentences = getattr(await found(store), kind)
    assert any(sentence in problem for problem in sentences), sentences
    for _ in range(3):  # a block of a deleted node can be released only when it is empty
        plan = repair_plan.planned(await read_records(store), time.time_ns())
        done = await repair_apply.carry_out(store, plan)
        assert [one.refusal for one in done] == [None] * len(done)
    left = await found(store)
    assert (left.count == 0) is safe, left
    assert not repair_plan.planned(await read_records(store), time.time_ns())


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
    """Return the addresses that pods of nodes use and have, each with its handle."""
    nodes = {node.name for node in (await store.list(Node)).objects}
    endpoints = [one for one in (await store.list(WorkloadEndpoint)).objects if one.spec.node in nodes]
    used = {address for endpoint in endpoints for address in endpoint.addresses}
    return {
        (str(one.address), one.handle)
        for block in (await store.list(IPAMBlock)).objects
        for one in allocations(block)
        if one.address in used
    }
