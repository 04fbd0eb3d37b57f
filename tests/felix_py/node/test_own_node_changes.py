"""What wakes whoever compares the own Node with the host, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent
from felix_py.node import own_node_changes
from felix_py.node.own_node_changes import OwnNodeChanges, rest
from felix_py.topics import Topic


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
def test_an_event_of_the_own_node_alone_wakes(event: WatchEvent, wakes: bool) -> None:
    changes = OwnNodeChanges("n1")
    changed = changes.next()
    changes.fold(event)
    assert changed.is_set() is wakes


@pytest.mark.parametrize(
    ("topic", "wakes"),
    [(Topic.ADDRESSES, True), (Topic.NEXT_HOPS | Topic.HELD, True), (Topic.PODS | Topic.HELD, False)],
)
def test_of_the_host_addresses_and_ways_wake(topic: Topic, wakes: bool) -> None:
    changes = OwnNodeChanges("n1")
    changed = changes.next()
    changes.host_changed(topic)
    assert changed.is_set() is wakes


def test_what_was_seen_wakes_nobody_and_what_comes_next_all_who_wait() -> None:
    changes = OwnNodeChanges("n1")
    changes.host_changed(Topic.ADDRESSES)
    one, other = changes.next(), changes.next()
    assert not one.is_set()
    changes.host_changed(Topic.ADDRESSES)
    assert one.is_set() and other.is_set() and not changes.next().is_set()


async def test_rest_ends_with_a_change_and_else_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = OwnNodeChanges("n1")
    resting = asyncio.create_task(rest(changes.next()))
    await asyncio.sleep(0)
    assert not resting.done()
    changes.host_changed(Topic.ADDRESSES)
    await resting
    monkeypatch.setattr(own_node_changes, "REST_SECONDS", 0.01)
    await rest(changes.next())
