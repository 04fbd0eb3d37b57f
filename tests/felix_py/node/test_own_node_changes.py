"""What wakes whoever compares the own Node with the host, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent
from felix_py.node.own_node_changes import OwnNodeChanges
from felix_py.topics import Topic


async def woken(changes: OwnNodeChanges) -> bool:
    waiting = asyncio.create_task(changes.wait())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return waiting.done() or not waiting.cancel()


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        (Changed(Node.make("n1")), True),
        (Gone(Node, "n1"), True),
        (Unreadable(Node, "n1", None, "its spec is no object"), True),
        (Changed(Node.make("n2")), False),
        (Gone(Node, "n2"), False),
        (Gone(IPPool, "n1"), False),
        (InSync(), False),
    ],
)
async def test_an_event_of_the_own_node_alone_wakes(event: WatchEvent, wakes: bool) -> None:
    changes = OwnNodeChanges("n1")
    changes.fold(event)
    assert await woken(changes) is wakes


@pytest.mark.parametrize(
    ("topic", "wakes"),
    [(Topic.ADDRESSES, True), (Topic.NEXT_HOPS | Topic.HELD, True), (Topic.PODS | Topic.HELD, False)],
)
async def test_of_the_host_addresses_and_ways_wake(topic: Topic, wakes: bool) -> None:
    changes = OwnNodeChanges("n1")
    changes.host_changed(topic)
    assert await woken(changes) is wakes


async def test_what_was_seen_wakes_nobody() -> None:
    changes = OwnNodeChanges("n1")
    changes.host_changed(Topic.ADDRESSES)
    changes.forget()
    assert not await woken(changes)
