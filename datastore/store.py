"""What any store can do: get, list, create, update, patch, delete, watch, and what they take and return.

Pure. Every write of an existing object is a compare-and-swap on its revision. An object flagged as deleted (which
Calico does before it deletes one) is absent for every reader, and a create may take its place. The store alone writes
`resourceVersion`, `uid` and `creationTimestamp`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct, field

from datastore.errors import BadRecord

if TYPE_CHECKING:  # pydantic comes with it, and who reads summaries needs none
    from datastore.record import Resource

R = TypeVar("R", bound="Resource")
R_co = TypeVar("R_co", bound="Resource", covariant=True)
S = TypeVar("S", bound="Named")
T_co = TypeVar("T_co", covariant=True)


class Interest(Struct, Generic[R_co], frozen=True):
    """The objects of one kind, or those of them that meet every condition that is set.

    The store filters: an object that no longer meets the conditions is reported as gone.
    """

    kind: type[R_co]
    node: str | None = None
    """Those of this node; for kinds that name a node (`Resource.NODE_FIELD`)."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those that have all these labels."""
    namespace: str | None = None
    name: str | None = None
    """The one of this name, in each namespace that is meant."""

    def __post_init__(self) -> None:
        if self.node is not None and not self.kind.NODE_FIELD:
            raise TypeError(f"{self.kind.KIND} names no node: it can't be filtered by one")


def interest_in(what: type[R] | Interest[R]) -> Interest[R]:
    """Return the interest that a bare kind stands for: every object of it."""
    return what if isinstance(what, Interest) else Interest(what)


class Unreadable(Struct, frozen=True):
    """A stored record that is not valid for its kind. `reason` is a sentence that names object and field."""

    kind: type[Resource]
    name: str
    namespace: str | None
    reason: str


class Listed(Struct, Generic[T_co], frozen=True):
    """What a list found, by namespace and name."""

    objects: tuple[T_co, ...]
    unreadable: tuple[Unreadable, ...] = ()
    """Records that exist and could not be read: what they say is unknown, so their absence proves nothing."""

    def complete(self) -> tuple[T_co, ...]:
        """Return all objects, for a caller to whom absence means something. Raises BadRecord: some are unreadable."""
        if self.unreadable:
            raise BadRecord("; ".join(record.reason for record in self.unreadable))
        return self.objects


class Named(Protocol):
    """An object, or what is kept of one."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...


class Summary(Struct, Generic[R, S], frozen=True):
    """What is kept of each object of a kind by whoever looks at all of them, and how it is read."""

    kind_name: str
    """`Resource.KIND` of the kind."""
    find_kind: Callable[[], type[R]]
    """Return the kind. Its module may be imported only then: most records are read without it."""
    read: Callable[[str | bytes], S | None]
    """Read the record's text. None: it is not plainly valid, or flagged as deleted; the kind's own reader decides."""
    of: Callable[[R], S]
    """Sum up an object that was read in full."""

    @property
    def kind(self) -> type[R]:
        return self.find_kind()


class Create(Struct, frozen=True):
    """Create this object; revision, uid and times in its metadata are ignored."""

    resource: Resource


class Update(Struct, frozen=True):
    """Replace the object, if its revision is still the one that this copy was read with."""

    resource: Resource


class Delete(Struct, frozen=True):
    """Remove the object, if its revision is still this one's; without a revision, whatever it is."""

    resource: Resource


Write: TypeAlias = Create | Update | Delete


class Changed(Struct, frozen=True):
    """The object exists, in this state: it is new, was written, or was read at the start of the watch."""

    resource: Resource


class Gone(Struct, frozen=True):
    """The object no longer exists, or no longer meets the interest. `last` is its state last reported by this watch."""

    kind: type[Resource]
    name: str
    namespace: str | None = None
    last: Resource | None = None


class InSync(Struct, frozen=True):
    """Everything that existed when the watch began has been reported. It comes once."""


WatchEvent: TypeAlias = Changed | Gone | Unreadable | InSync


class Store(Protocol):
    """The datastore, whatever is behind it. All verbs may raise Unavailable: try again later."""

    @property
    def atomic(self) -> bool:
        """Whether `write` is all or nothing, or else only in order."""

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        """Return one object. Raises NotFound, and BadRecord: it is there and cannot be read."""

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        """Return the objects of a kind, or of an interest, and what could not be read of them."""

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        """Return what is kept of each object of a kind, as `list` does the whole: for thousands of them."""

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        """Have `look` see what `summarize` returns, one at a time, so that none of it has to be held at once.

        They come in no order, one perhaps twice, and `look` may be called in another thread. Return what cannot be
        read.
        """

    async def create(self, resource: R) -> R:
        """Make an object and return it as stored. Raises AlreadyExists."""

    async def update(self, resource: R) -> R:
        """Replace an object and return it as stored. Raises Conflict, NotFound, and Invalid without a revision."""

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        """Apply a JSON merge patch (RFC 7396) to a record and return the object as stored.

        Only what the patch names is changed, whatever else was written since it was read; a `resourceVersion` in its
        metadata makes it a compare-and-swap. Raises NotFound, Conflict, BadRecord, and Invalid: what it would be is not
        valid.
        """

    async def delete(self, resource: Resource) -> None:
        """Remove an object. Raises NotFound, and Conflict if it has another revision than `resource` says."""

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        """Carry out several writes in order; return what each stored, None for a Delete. Raises what they would."""

    def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        """Yield the current objects of these interests, InSync, then what changes, in order.

        Only the newest state of an object is reported. While the store is away nothing is, and afterwards all that was
        missed, including what is gone. It ends when the store is closed. Raises Forbidden: it is of one
        object by its name, which this account may not read, or no longer; other watches wait until they may.
        """

    async def close(self) -> None:
        """Release files and threads; watches end, and every later call raises Unavailable."""


class StatusStore(Store, Protocol):
    """A store that may keep what an object says of itself apart from what users write in it."""

    async def update_status(self, resource: R) -> R:
        """Replace the `status` of an object, where its definition keeps that apart, elsewhere the whole.

        Raises as `update`.
        """
