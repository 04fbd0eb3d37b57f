"""The Namespaces of pods, where the datastore has them: their labels and annotations choose pools.

An edge. A watch keeps them, so that an ADD costs no request. One that it has not reported, as that of the first pod in
a new Namespace, is read, once for all requests that wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datastore.cas import found_or_none
from datastore.group_commit import Batcher
from datastore.kinds.namespace import Namespace
from datastore.store import Changed, Gone, Store, Unreadable, WatchEvent


class Namespaces:
    """Answers from what `follow` keeps, and from the datastore where it keeps nothing."""

    def __init__(self, store: Store, observe: Callable[[WatchEvent], object] = lambda event: None) -> None:
        """observe: is given each event of the watch."""
        self._store, self._observe = store, observe
        self._known: dict[str, Namespace] = {}
        self._reads: Batcher[str, None, Namespace | None] = Batcher(self._read)

    async def get(self, name: str) -> Namespace | None:
        """Return a Namespace; None: there is none. Raises BadRecord, Unavailable."""
        return self._known.get(name) or await self._reads.submit(name, None)

    async def follow(self) -> None:
        """Keep what the datastore reports, until cancelled."""
        try:
            async for event in self._store.watch(Namespace):
                self._fold(event)
                self._observe(event)
        finally:
            self._known.clear()  # what changes now is not reported

    def _fold(self, event: WatchEvent) -> None:
        match event:
            case Changed(resource=Namespace() as namespace):
                self._known[namespace.name] = namespace
            case Gone() | Unreadable():
                self._known.pop(event.name, None)

    async def _read(self, name: str, waiting: Sequence[None]) -> Sequence[Namespace | None]:
        found = await found_or_none(self._store.get(Namespace, name))
        return [found] * len(waiting)
