"""What a watch reports: readings of the store compared with what it has reported already.

Pure. A store reads either what changed since its last reading or, at the start and after it lost its place, everything
there is; the difference is found here, the same for every store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from datastore.store import Changed, Gone, Unreadable, WatchEvent

if TYPE_CHECKING:  # pydantic comes with it
    from datastore.record import Resource


class Key(NamedTuple):
    """Which object: `namespace` is empty for kinds without one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f'{self.kind} "{self.namespace}/{self.name}"' if self.namespace else f'{self.kind} "{self.name}"'


def key_for(kind: type[Resource], name: str, namespace: str | None) -> Key:
    return Key(kind.KIND, (namespace or "") if kind.NAMESPACED else "", name)


def key_of(resource: Resource) -> Key:
    return key_for(type(resource), resource.name, resource.namespace)


class ChangeSet(Struct, frozen=True):
    """One reading of the store, in order; None for an object that is gone or that the watch is not interested in.

    A record that cannot be read is unknown: neither there nor gone.
    """

    complete: bool
    """Whether it holds every object there is: what it does not name is gone."""
    objects: Sequence[tuple[Key, Resource | Unreadable | None]]


class Reported:
    """The objects that one watch has reported, each in its newest state."""

    def __init__(self) -> None:
        self._last_seen: dict[Key, Resource] = {}
        self._unreadable: dict[Key, Unreadable] = {}

    def fold(self, changes: ChangeSet) -> Iterator[WatchEvent]:
        """Yield what is new in this reading: what is gone first where it is complete.

        An object that became unreadable stays as it was last reported.
        """
        if changes.complete:
            present = {key for key, resource in changes.objects if resource is not None}
            for key in [key for key in self._last_seen | self._unreadable if key not in present]:
                yield self._gone(key)
        for key, resource in changes.objects:
            last = self._last_seen.get(key)
            if isinstance(resource, Unreadable):
                if self._unreadable.get(key) != resource:
                    self._unreadable[key] = resource
                    yield resource
            elif resource is None:
                if last is not None or key in self._unreadable:
                    yield self._gone(key)
            elif last is None or last.revision != resource.revision or key in self._unreadable:
                self._last_seen[key] = resource
                self._unreadable.pop(key, None)
                yield Changed(resource)

    def _gone(self, key: Key) -> Gone:
        last, unreadable = self._last_seen.pop(key, None), self._unreadable.pop(key, None)
        if last is not None:
            return Gone(type(last), key.name, key.namespace or None, last)
        assert unreadable is not None
        return Gone(unreadable.kind, key.name, key.namespace or None)
