"""A store over one dictionary. The contract test runs against it as against the stores that ship."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar, cast

from datastore.errors import AlreadyExists, BadRecord, Conflict, Invalid, NotFound, Unavailable
from datastore.merge_patch import merged
from datastore.record import Resource
from datastore.store import (
    Create,
    Delete,
    InSync,
    Interest,
    Listed,
    Named,
    Summary,
    Unreadable,
    Update,
    WatchEvent,
    Write,
    interest_in,
)
from datastore.watch import ChangeSet, Key, Reported, key_for, key_of

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)


class MemoryStore:
    """Every verb of a store, and a count of what was done to which kind. It never waits for a thread.

    atomic: whether a refused write undoes those before it. compares: false for a store that overwrites blindly.
    """

    def __init__(self, *resources: Resource, atomic: bool = True, compares: bool = True) -> None:
        self.atomic = atomic
        self.compares = compares
        self.calls: Counter[str] = Counter()
        self.transactions: list[list[str]] = []
        """What was written together, as `Create IPAMHandle`; refused ones too."""
        self.objects: dict[Key, Resource] = {}
        self.unreadable: tuple[Unreadable, ...] = ()
        self._revisions = itertools.count(1)
        self._closed = False
        self._changed = asyncio.Event()
        for resource in resources:
            self._put(resource, None)

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        self.calls[f"get {kind.KIND}"] += 1
        self._require_open()
        key = key_for(kind, name, namespace)
        if self._cannot_read(key):
            raise BadRecord(f"get {key}: it cannot be read")
        found = self.objects.get(key)
        if found is None or found.deleted:
            raise NotFound(f"get {key}: there is none")
        return cast(R, found)

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        interest = interest_in(what)
        self.calls[f"list {interest.kind.KIND}"] += 1
        self._require_open()
        objects = tuple(cast(R, found) for _, found in sorted(self.objects.items()) if _meets(found, interest))
        return Listed(objects, tuple(record for record in self.unreadable if record.kind is interest.kind))

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        self.calls["summarize"] += 1
        found = await self.list(summary.kind)
        return Listed(tuple(map(summary.of, found.objects)), found.unreadable)

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        found = await self.list(summary.kind)
        for one in found.objects:
            look(summary.of(one))
        return found.unreadable

    async def create(self, resource: R) -> R:
        return cast(R, (await self.write(Create(resource)))[0])

    async def update(self, resource: R) -> R:
        return cast(R, (await self.write(Update(resource)))[0])

    async def update_status(self, resource: R) -> R:
        return await self.update(resource)

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        self._require_open()
        key = key_for(kind, name, namespace)
        held = self.objects.get(key)
        if held is None or held.deleted:
            raise NotFound(f"patch {key}: there is none")
        patched = kind.read(merged(held.to_json(), dict(patch)))
        if key_of(patched) != key:
            raise Invalid(f"patch {key}: name and namespace can't be changed")
        return cast(R, self._carry_out(Update(patched)))

    async def delete(self, resource: Resource) -> None:
        await self.write(Delete(resource))

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        self._require_open()
        self.transactions.append([f"{type(write).__name__} {type(write.resource).KIND}" for write in writes])
        before = dict(self.objects)
        try:
            return tuple(self._carry_out(write) for write in writes)
        except Exception:
            if self.atomic:
                self.objects = before
            raise

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        wanted = [interest_in(interest) for interest in interests]
        reported = Reported()
        for first in itertools.chain([True], itertools.repeat(False)):
            changed = self._changed
            current = [found for found in self.objects.values() if any(_meets(found, one) for one in wanted)]
            current.sort(key=lambda found: int(found.revision or 0))
            kinds = {one.kind for one in wanted}
            unreadable = [(_key(one), one) for one in self.unreadable if one.kind in kinds]
            for event in reported.fold(ChangeSet(True, [*unreadable, *((key_of(found), found) for found in current)])):
                yield event
            if first:
                yield InSync()
            if not self._closed:
                await changed.wait()
            if self._closed:
                return

    async def close(self) -> None:
        self._closed = True
        self._wake()

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    def _carry_out(self, write: Write) -> Resource | None:
        resource, key = write.resource, key_of(write.resource)
        self.calls[f"write {resource.KIND}"] += 1
        held = self.objects.get(key)
        match write:
            case Create():
                if self._cannot_read(key) or (held is not None and not held.deleted):
                    raise AlreadyExists(f"create {key}: there is one already")
                return self._put(resource, None)
            case Update():
                if resource.revision is None:
                    raise Invalid(f"update {key}: it has no resourceVersion to compare")
                held = self._compared("update", write, held)
                return held if resource == held else self._put(resource, held)
            case Delete() if self._cannot_read(key):
                self.unreadable = tuple(one for one in self.unreadable if _key(one) != key)
                self._wake()
                return None
            case Delete():
                self._compared("delete", write, held)
                del self.objects[key]
                self._wake()
                return None

    def _cannot_read(self, key: Key) -> bool:
        return any(_key(one) == key for one in self.unreadable)

    def spoil(self, resource: Resource) -> None:
        """Let an object's record be one that cannot be read."""
        del self.objects[key_of(resource)]
        self.unreadable += (Unreadable(type(resource), resource.name, resource.namespace, "it cannot be read"),)
        self._wake()

    def _compared(self, verb: str, write: Write, held: Resource | None) -> Resource:
        """Return the object that a write was read from. Raises NotFound, Conflict."""
        resource, key = write.resource, key_of(write.resource)
        if held is None:
            raise NotFound(f"{verb} {key}: there is none")
        same_revision = resource.revision in (None, held.revision)
        same_object = resource.metadata.uid in (None, held.metadata.uid)
        if self.compares and not (same_revision and same_object):
            raise Conflict(f"{verb} {key}: it was written since it was read")
        return held

    def _put(self, resource: Resource, before: Resource | None) -> Resource:
        revision = str(next(self._revisions))
        stored = (
            type(resource)
            .read(resource.to_json())
            .with_metadata(
                resource_version=revision,
                uid=before.metadata.uid if before else f"uid-{revision}",
                creation_timestamp=before.metadata.creation_timestamp if before else "2026-01-02T03:04:05Z",
            )
        )
        self.objects[key_of(stored)] = stored
        self._wake()
        return stored

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _key(record: Unreadable) -> Key:
    return key_for(record.kind, record.name, record.namespace)


def _meets(resource: Resource, interest: Interest[Any]) -> bool:
    if type(resource) is not interest.kind or resource.deleted:
        return False
    if interest.namespace is not None and resource.namespace != interest.namespace:
        return False
    if interest.name is not None and resource.name != interest.name:
        return False
    if interest.node is not None and _at(resource.to_json(), interest.kind.NODE_FIELD) != interest.node:
        return False
    return interest.labels.items() <= resource.labels.items()


def _at(record: Any, path: str) -> object:
    for part in path.split("."):
        record = record.get(part, {})
    return record
