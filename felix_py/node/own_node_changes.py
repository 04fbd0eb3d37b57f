"""When the own Node, or what this host is on the network, may have changed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from datastore.kinds.node import Node
from datastore.store import Changed, Gone, Unreadable, WatchEvent
from felix_py.topics import Topic

OF_HOST = Topic.ADDRESSES | Topic.NEXT_HOPS
"""Addresses of the host's own devices, and which of these are up."""


REST_SECONDS = 60.0
"""The safety net under the events."""


class OwnNodeChanges:
    """Wakes whoever compares the own Node with the host, or keeps something in line with either."""

    def __init__(self, node: str) -> None:
        """node: its name."""
        self._node = node
        self._next = asyncio.Event()

    def fold(self, event: WatchEvent) -> None:
        """Take in an event of the datastore. Any of the Node's counts, as a claim to it is none of a Topic's."""
        match event:
            case Changed(resource=Node(metadata=metadata)) if metadata.name == self._node:
                self._wake()
            case Gone() | Unreadable() if event.kind is Node and event.name == self._node:
                self._wake()

    def host_changed(self, topic: Topic) -> None:
        """Take in what changed of the host."""
        if topic & OF_HOST:
            self._wake()

    def next(self) -> asyncio.Event:
        """Return what is set when something changes from now on. To be looked at only then."""
        return self._next

    def _wake(self) -> None:
        changed, self._next = self._next, asyncio.Event()
        changed.set()


async def rest(changed: asyncio.Event) -> None:
    """Return when something has changed, or it is time for a look all the same."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REST_SECONDS):
            await changed.wait()
