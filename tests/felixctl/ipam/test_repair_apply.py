"""Repairs carried out while others write."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from datastore import fields
from datastore.kinds.ipam import IPAMBlock
from datastore.record import Resource
from datastore.store import Store, Update, Write
from felixctl.ipam import repair_apply, repair_plan
from felixctl.ipam.read_records import read_records
from ipam.allocator import AddressesWanted, Allocator
from tests.felixctl.ipam.damages import change_block, delete_endpoint, idle_handle


async def test_an_address_assigned_again_since_the_plan_is_left_alone(store: Store) -> None:
    await delete_endpoint(store)
    plan = repair_plan.planned(await read_records(store), time.time_ns())
    await change_block(store, sequence_number_for_allocation={"7": 4711})
    [done] = await repair_apply.carry_out(store, plan)
    assert "assigned again" in (done.refusal or "")


async def test_a_repair_that_fails_does_not_keep_others_from_being_done(store: Store) -> None:
    await idle_handle(store)
    plan = repair_plan.planned(await read_records(store), time.time_ns())
    missing = repair_plan.Repair(
        "rewrite a block that does not exist", repair_plan.RewriteBlock(fields.network("10.99.0.0/26"))
    )
    first, second = await repair_apply.carry_out(store, [missing, *plan])
    assert (first.refusal is None, second.refusal) == (False, None)


class StoreWithInterruption:
    """A store that cannot write several objects at once; before the first write of a block, `interruption` runs."""

    atomic = False

    def __init__(self, store: Store, interruption: Callable[[], Awaitable[object]]) -> None:
        self._store, self._interruptions = store, [interruption]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        if self._interruptions and isinstance(writes[0], Update) and isinstance(writes[0].resource, IPAMBlock):
            await self._interruptions.pop()()
        return await self._store.write(*writes)


async def test_a_pod_that_is_just_starting_keeps_its_address_and_its_handle(store: Store) -> None:
    """Its handle counts already, its block does not: that looks idle, and is repaired at this very moment."""

    async def repair() -> None:
        plan = repair_plan.planned(await read_records(store), time.time_ns())
        assert [step.sentence for step in plan] == ["delete handle n.new"]
        await repair_apply.carry_out(store, plan)

    allocator = Allocator(StoreWithInterruption(store, repair))
    given = await allocator.assign(
        AddressesWanted("node-3", "n.new", {"pod": "new", "namespace": "default", "node": "node-3"})
    )
    records = await read_records(store)
    [one] = [one for one in records.allocations if one.handle == "n.new"]
    assert given.ipv4 == (one.address,)
    [handle] = [handle for handle in records.handles if handle.name == "n.new"]
    assert handle.spec.block == {str(one.block): 1}
