"""Changes carried out while others write, and on stores that can't write all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import datastore
from datastore.errors import Conflict, Unavailable
from datastore.kinds.pools import IPPool
from datastore.merge_patch import merged
from datastore.record import Resource
from datastore.store import Store, Write
from felixctl.errors import CommandError
from felixctl.resources import apply, plan
from felixctl.resources.documents import read
from felixctl.resources.kinds import noun
from felixctl.resources.manifests import key_of, manifests_in
from ipam.allocator import Allocator
from ipam.errors import ClaimConflict

POOLS = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: a}
spec: {cidr: 10.1.0.0/16}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: b}
spec: {cidr: 10.2.0.0/16}
"""


class FailingStore:
    """A store whose first writes raise these errors, one each; None lets a write pass."""

    def __init__(self, store: Store, *errors: Exception | None, atomic: bool = True) -> None:
        self._store, self._errors, self.atomic = store, list(errors), atomic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        if self._errors and (error := self._errors.pop(0)):
            raise error
        return await self._store.write(*writes)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = datastore.open("sqlite:///:memory:")
    yield opened
    await opened.close()


async def names(store: Store) -> list[str]:
    return [pool.name for pool in (await store.list(IPPool)).objects]


async def test_it_tells_what_it_is_at(store: Store) -> None:
    batch, told = manifests_in(read(POOLS, "pools.yaml").documents), list[str]()
    await apply.carry_out(FailingStore(store, atomic=False), batch, plan.applied, tell=told.append)
    assert told == [
        "0 of 2 resources looked up in the datastore",
        "2 resources are checked",
        "0 of 2 resources written",
    ]


async def test_it_tells_how_far_a_deletion_is(store: Store) -> None:
    await store.create(IPPool.make("a", cidr="10.1.0.0/16"))
    keys, told = [key_of(noun("pool"), "a", None)], list[str]()
    await apply.remove(FailingStore(store, atomic=False), keys, skip_missing=False, force=True, tell=told.append)
    looked_up = "0 of 1 resources looked up in the datastore"
    assert told == [looked_up, looked_up, "0 of 1 resources deleted"]


async def test_a_change_that_lost_a_race_is_planned_again(store: Store) -> None:
    await store.create(IPPool.make("a", cidr="10.1.0.0/16"))
    key = key_of(noun("pool"), "a", None)
    losing = FailingStore(store, *(Conflict("another writer was faster") for _ in range(apply.ATTEMPTS - 1)))
    await apply.change(losing, key, lambda seen: merged(seen, {"spec": {"disabled": True}}))
    assert (await store.get(IPPool, "a")).spec.disabled


async def test_a_change_that_loses_every_race_fails_and_writes_nothing(store: Store) -> None:
    losing = FailingStore(store, *(Conflict("another writer was faster") for _ in range(apply.ATTEMPTS)))
    with pytest.raises(Conflict):
        await apply.carry_out(losing, manifests_in(read(POOLS, "f").documents), plan.applied)
    assert await names(store) == []


async def test_a_store_that_writes_one_by_one_says_how_many_were_written(store: Store) -> None:
    failing = FailingStore(store, None, Unavailable("the store is away"), atomic=False)
    with pytest.raises(CommandError, match="the store is away; 1 of 2 were written before"):
        await apply.carry_out(failing, manifests_in(read(POOLS, "f").documents), plan.applied)
    assert await names(store) == ["a"]
    await apply.carry_out(failing, manifests_in(read(POOLS, "f").documents), plan.applied)
    assert await names(store) == ["a", "b"]


async def test_a_store_that_fails_as_a_whole_has_written_nothing(store: Store) -> None:
    failing = FailingStore(store, Unavailable("the store is away"))
    with pytest.raises(Unavailable):
        await apply.carry_out(failing, manifests_in(read(POOLS, "f").documents), plan.applied)
    assert await names(store) == []


async def test_a_pool_whose_blocks_cannot_be_released_is_left_disabled_and_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Allocator, cidr: object, *, must_be_empty: bool = False) -> None:
        raise ClaimConflict(f"release {cidr}: another host is claiming it")

    monkeypatch.setattr(apply, "POOL_REST_SECONDS", 0)
    monkeypatch.setattr(Allocator, "release_pool", refuse)
    await store.create(IPPool.make("a", cidr="10.1.0.0/16"))
    with pytest.raises(CommandError, match='claiming it; IPPool "a" is left disabled, delete it again'):
        await apply.remove(store, [key_of(noun("pool"), "a", None)], skip_missing=False, force=False)
    assert (await store.get(IPPool, "a")).spec.disabled
