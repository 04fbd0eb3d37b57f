from __future__ import annotations

import pytest

from datastore.errors import NotFound, Unavailable
from datastore.kinds.ipam import IPAMHandle
from ipam.errors import HandleInUse
from ipam.handle_writer import HandleWriter
from tests.ipam.faulty_store import FaultyStore

BLOCK, OTHER = "10.65.0.0/26", "10.65.0.64/26"


async def counts(store: FaultyStore) -> dict[str, int]:
    return dict((await store.get(IPAMHandle, "net.a")).spec.block)


async def test_a_handle_is_there_as_long_as_it_counts_something() -> None:
    store = FaultyStore()
    writer = HandleWriter(store)
    await writer.count("net.a", BLOCK, 1)
    await writer.count("net.a", OTHER, 2)
    assert await counts(store) == {BLOCK: 1, OTHER: 2}
    await writer.count("net.a", OTHER, -2)
    assert await counts(store) == {BLOCK: 1}
    await writer.count("net.a", BLOCK, -1)
    with pytest.raises(NotFound):
        await counts(store)


async def test_what_another_wrote_meanwhile_is_counted_on() -> None:
    store = FaultyStore()
    ours, theirs = HandleWriter(store), HandleWriter(store)
    for writer in (ours, theirs, ours):
        await writer.count("net.a", BLOCK, 1)
    assert await counts(store) == {BLOCK: 3}


async def test_a_handle_that_was_to_be_new_is_refused_where_there_is_one() -> None:
    store = FaultyStore()
    await HandleWriter(store).count("net.a", BLOCK, 1)
    with pytest.raises(HandleInUse, match=r"net\.a"):
        await HandleWriter(store).count("net.a", BLOCK, 1, fresh=True)
    assert await counts(store) == {BLOCK: 1}


async def test_what_cannot_be_counted_is_said_and_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore()
    writer = HandleWriter(store)
    await writer.count("net.a", BLOCK, 1)
    store.fails["Delete IPAMHandle"] = Unavailable("the store does not answer")
    await writer.count_if_possible(BLOCK, {"net.a": -1, "net.unknown": -1})
    assert "count handle net.a down for block 10.65.0.0/26: the store does not answer" in caplog.text
