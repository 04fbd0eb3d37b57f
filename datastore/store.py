"""What any store can do: get, list, create, update, delete, watch, and its errors.

Every write of an existing object is a compare-and-swap on its revision. An object flagged as deleted (which Calico
does before it deletes one) is absent for every reader here, and a create may take its place. The store alone writes
`resourceVersion`, `uid` and `creationTimestamp`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from datastore.record import Resource

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class Create:
    """Make this object; what its metadata says of revision, uid and times does not count."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the object, if its revision still is the one that this copy was read with."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the object, if its revision still is this one's; without a revision, whatever it is."""

    resource: Resource


Write: TypeAlias = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Changed:
    """The object is there, as of now: it is new, was written, or was read at the start of the watch."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class Gone:
    """The object is no more. `last` is what this watch last told of it."""

    kind: type[Resource]
    name: str
    namespace: str | None = None
    last: Resource | None = None


@dataclass(frozen=True, slots=True)
class InSync:
    """Everything that was there when the watch began has been told. It comes once."""


WatchEvent: TypeAlias = Changed | Gone | InSync


class Store(Protocol):
    """The datastore, wherever it is kept. All verbs may raise Unavailable: try again later."""

    @property
    def atomic(self) -> bool:
        """Whether `write` is all or nothing, or else only in order."""

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        """Return one object. Raises NotFound."""

    async def list(
        self,
        kind: type[R],
        *,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        whole: bool = False,
    ) -> list[R]:
        """Return the objects of a kind that have all these labels, by namespace and name.

        A record that nobody can read is told and left out; with `whole`, for whoever concludes something from what is
        not there, it raises Invalid.
        """

    async def create(self, resource: R) -> R:
        """Make an object and return it as stored. Raises AlreadyExists."""

    async def update(self, resource: R) -> R:
        """Replace an object and return it as stored. Raises Conflict, NotFound, and Invalid without a revision."""

    async def delete(self, resource: Resource) -> None:
        """Remove an object. Raises NotFound, and Conflict if it has another revision than `resource` says."""

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        """Carry out several writes in order; return what each stored, None for a Delete. Raises what they would."""

    def watch(self, *kinds: type[Resource]) -> AsyncIterator[WatchEvent]:
        """Yield the current objects of these kinds, InSync, then what changes, in order.

        Only the newest state of an object is told. While the store is away nothing is, and afterwards all that was
        missed, including what is gone. It ends when the store is closed.
        """

    async def close(self) -> None:
        """Let go of files and threads; watches end, and every later call raises Unavailable."""
