"""Which controller acts, as its Lease says: tests/kube/test_controller.py asks beside a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import datastore
from datastore.defaults import CONTROLLER_LEASE
from datastore.errors import Unavailable
from datastore.fields import micro_time_text
from datastore.kinds.lease import Lease
from datastore.store import Store
from felixctl.leader import Leader
from felixctl.read_leader import read_leader

NOW = 1_800_000_000.0


def lease(holder: str, renewed: float) -> Lease:
    return Lease.make(
        CONTROLLER_LEASE,
        "kube-system",
        holder=holder,
        acquire_time="2026-01-02T15:04:05.000006Z",
        renew_time=micro_time_text(int(renewed * 10**9)),
    )


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    found = datastore.open("sqlite:///:memory:")
    yield found
    await found.close()


async def leader(store: Store, look_seconds: float = 0.05) -> Leader:
    return await read_leader(store, "kube-system", look_seconds, lambda: NOW)


async def test_who_has_renewed_it_lately_acts(store: Store) -> None:
    await store.create(lease("c-1_uuid", NOW - 3))
    found = await leader(store)
    assert found.acts and found.colour is None
    assert found.sentence == (
        "The controller c-1 acts since 2026-01-02T15:04:05.000006Z: it renews the Lease kube-system/felix-py-controller"
    )


@pytest.mark.parametrize("renewed", [NOW - 60, NOW + 3600])
async def test_who_has_not_renewed_it_for_long_does_not_act(store: Store, renewed: float) -> None:
    await store.create(lease("c-1_uuid", renewed))
    found = await leader(store)
    assert not found.acts and found.colour is not None
    assert "No controller acts: c-1 has not renewed the Lease kube-system/felix-py-controller since" in found.sentence
    assert "is not given back; see kubectl -n kube-system get pods" in found.sentence


async def test_whose_clock_differs_and_who_renews_it_acts(store: Store) -> None:
    held = await store.create(lease("c-1_uuid", NOW - 3600))
    looking = asyncio.create_task(leader(store, look_seconds=30))
    renewed = NOW - 3600
    while not looking.done():
        renewed += 2
        held = await store.update(held.with_spec(renew_time=micro_time_text(int(renewed * 10**9))))
        await asyncio.sleep(0)
    assert (await looking).acts


async def test_a_lease_that_was_given_back_or_is_not_there_is_nobodys(store: Store) -> None:
    assert "there is no Lease kube-system/felix-py-controller" in (await leader(store)).sentence
    await store.create(lease("", NOW))
    found = await leader(store)
    assert not found.acts and "nobody holds the Lease" in found.sentence


async def test_what_cannot_be_read_is_said_and_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> Lease:
        raise Unavailable("get Lease: no role lets you")

    monkeypatch.setattr(store, "get", refused)
    assert (await leader(store)).sentence == "Which controller acts is not known: get Lease: no role lets you"
