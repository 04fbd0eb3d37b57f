"""When the own Node, or what this host is on the network, may have changed."""

from __future__ import annotations

import asyncio

from datastore.kinds.node import Node
from datastore.store import Changed, Gone, Unreadable, WatchEvent
from felix_py.topics import Topic

OF_HOST = Topic.ADDRESSES | Topic.NEXT_HOPS
"""Addresses of the host's own devices, and which of these are up."""


class OwnNodeChanges:
    """Wakes whoever compares the own Node with the host."""

    def __init__(self, node: str) -> None:
        """node: its name."""
        self._node = node
        self._some = asyncio.Event()

    def fold(self, event: WatchEvent) -> None:
        """Take in an event of the datastore. Any of the Node's counts, as a claim to it is none of a Topic's."""
        match event:
            case Changed(resource=Node(metadata=metadata)) if metadata.name == self._node:
                self._some.set()
            case Gone() | Unreadable() if event.kind is Node and event.name == self._node:
                self._some.set()

    def host_changed(self, topic: Topic) -> None:
        """Take in what changed of the host."""
        if topic & OF_HOST:
            self._some.set()

    def forget(self) -> None:
        """Take what has changed until now for seen."""
        self._some.clear()

    async def wait(self) -> None:
        """Return once something has changed since `forget`."""
        await self._some.wait()
