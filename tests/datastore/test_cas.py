"""What loops around a compare-and-swap share."""

from __future__ import annotations

import pytest

import datastore
from datastore.cas import LOST_RACE, found_or_none
from datastore.errors import AlreadyExists, Conflict, Invalid, NotFound, Unavailable
from datastore.kinds.pools import IPPool
from datastore.store import Delete, Store


async def test_what_is_found_is_returned_and_what_is_not_is_none() -> None:
    store: Store = datastore.open("sqlite:///:memory:")
    stored = await store.create(IPPool.make("pods", cidr="10.65.0.0/16"))
    assert await found_or_none(store.get(IPPool, "pods")) == stored
    assert await found_or_none(store.get(IPPool, "others")) is None
    await store.close()
    with pytest.raises(Unavailable):
        await found_or_none(store.get(IPPool, "pods"))


async def test_every_lost_race_raises_one_of_three_errors() -> None:
    store: Store = datastore.open("sqlite:///:memory:")
    stored = await store.create(IPPool.make("pods", cidr="10.65.0.0/16"))
    await store.update(stored.with_spec(disabled=True))
    with pytest.raises(AlreadyExists):
        await store.create(stored)
    for stale in (store.update(stored), store.write(Delete(stored))):
        with pytest.raises(Conflict):
            await stale
    await store.write(Delete(await store.get(IPPool, "pods")))
    with pytest.raises(NotFound):
        await store.update(stored)
    await store.close()
    assert {AlreadyExists, Conflict, NotFound} == set(LOST_RACE)
    assert not {Invalid, Unavailable} & set(LOST_RACE)
