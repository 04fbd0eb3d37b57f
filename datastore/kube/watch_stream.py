"""The objects of one kind as the API server's watch reports them: all of them first, then what changes.

An edge. It recovers by itself: a stream that ends is begun again where it was, a revision that the server has forgotten
means all objects anew, and each failure is followed by a longer pause with jitter.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing

import msgspec

from datastore.errors import DatastoreError, Forbidden
from datastore.kube.answers import (
    FORBIDDEN,
    GONE,
    NOT_FOUND,
    NotNow,
    NotServed,
    Status,
    TooMany,
    not_now,
    read_status,
    refusal,
    retry_after,
)
from datastore.kube.client import ApiClient, NoAnswer
from datastore.kube.http2 import ConnectionLost
from datastore.kube.listing import list_all
from datastore.kube.objects import Entry, Interests, entry, outline
from datastore.kube.paths import collection, selectors, with_query
from datastore.kube.served_group import ServedGroup
from datastore.kube.shallow import members
from datastore.kube.watch_pauses import Failure, WatchPauses
from datastore.record import Resource
from datastore.store import Interest
from datastore.watch import ChangeSet

log = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 300, 600
"""How long the server is asked to keep a watch before it ends it."""
SILENT_SECONDS = 150.0
"""How long a watch may bring nothing, not even the bookmark of each minute, before it is begun again."""
BY_PAGES_SECONDS = 3600.0
"""How long a server that has no streaming lists is not asked for one: it may be replaced by one that has them."""
HELD_SECONDS = 1.0
"""A watch that lasted so long has worked: what ends it later is the first failure."""
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


def _read_event(line: bytes) -> _Event:
    """Raises msgspec.DecodeError: it is no event."""
    try:
        return msgspec.json.decode(line, type=_Event)
    except RecursionError:
        parts = members(line)
        return _Event(msgspec.json.decode(parts["type"], type=str), msgspec.Raw(parts["object"]))


class _Expired(Exception):
    """What came after the revision that was asked for cannot be had any more."""


class _NoStreamingList(Exception):
    """The server does not send all objects in a watch. lasting: it has no such lists, rather than fails now."""

    def __init__(self, *, lasting: bool) -> None:
        super().__init__()
        self.lasting = lasting


class _Refused(Exception):
    """The watch was refused, or ended by an error of the server's."""


_FAILURES = (OSError, ssl.SSLError, ConnectionLost, DatastoreError, msgspec.DecodeError, _Expired, _Refused)


class WatchStream:
    """One kind, from now on: the objects that any of `interests` means. The server filters where there is only one."""

    def __init__(
        self, client: ApiClient, kind: type[Resource], interests: Interests, served_group: ServedGroup
    ) -> None:
        self._client, self._kind, self._interests = client, kind, interests
        self._asked = interests[0] if len(interests) == 1 else Interest(kind)
        self._served_group, self._path = served_group, ""
        self._revision = ""
        self._next_by_pages = False
        self._by_pages_until = 0.0
        self._pauses = WatchPauses()
        self._away = False

    async def readings(self) -> AsyncGenerator[ChangeSet, None]:
        """Yield a complete reading, then changes; complete ones again when the place was lost. It never ends.

        Raises Forbidden: it is about one object by its name, which this account may not read.
        """
        now = asyncio.get_running_loop().time
        while True:
            begun, failure, group = now(), None, ""
            try:
                group = await self._served_group()
                self._ask_at(collection(self._kind, group, self._asked.namespace))
                async with aclosing(self._until_it_ends()) as found:
                    async for reading in found:
                        yield reading
            except _NoStreamingList as refused:
                self._next_by_pages = True
                if refused.lasting:
                    self._by_pages_until = now() + BY_PAGES_SECONDS
                continue
            except _FAILURES as error:
                if isinstance(error, Forbidden) and self._asked.name is not None:
                    raise
                failure = error
            if now() - begun >= HELD_SECONDS:
                self._pauses.reset()
            else:
                failure = failure or _Refused("the server ended the watch as soon as it began")
            if isinstance(failure, NotServed):
                self._served_group.forget(group)
            if isinstance(failure, (_Expired, NotServed)):
                self._revision = ""
            if failure:
                await self._pause_after(failure)

    def _ask_at(self, path: str) -> None:
        """Ask for the objects at this path. A revision says nothing about those of another group."""
        if path != self._path:
            self._path, self._revision = path, ""

    async def _until_it_ends(self) -> AsyncGenerator[ChangeSet, None]:
        by_pages = self._next_by_pages or asyncio.get_running_loop().time() < self._by_pages_until
        if not self._revision and by_pages:
            yield await self._list()
        initial: list[Entry] | None = None if self._revision else []  # the objects of a list that is being sent
        async with aclosing(self._events(self._query())) as events:
            async for event in events:
                about = outline(event.object).metadata
                if event.type != "BOOKMARK":
                    found = entry(self._kind, self._interests, event.object, gone=event.type == "DELETED")
                    if initial is not None:
                        initial.append(found)
                        continue
                    self._revision = about.resource_version
                    yield ChangeSet(False, [found])
                elif initial is None:
                    self._revision = about.resource_version
                elif _INITIAL_EVENTS_END in (about.annotations or {}):
                    self._revision = about.resource_version
                    yield ChangeSet(True, initial)
                    initial = None

    def _query(self) -> dict[str, str]:
        query = {
            **selectors(self._asked),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(SHORTEST_SECONDS, LONGEST_SECONDS)),
        }
        if self._revision:
            return {**query, "resourceVersion": self._revision}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    async def _events(self, query: dict[str, str]) -> AsyncGenerator[_Event, None]:
        """Yield the events of one stream. A last line that is cut off is left out: it comes again."""
        async with self._client.stream(with_query(self._path, query)) as (stream, connection):
            if stream.status != 200:
                body = b""
                while part := await connection.read(stream):
                    body += part
                status = read_status(stream.status, body)
                self._raise_for(status, stream.status, query, retry_after(stream.headers, status))
            self._is_back()
            rest = b""
            while part := await self._next_part(connection.read(stream)):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    event = _read_event(line)
                    if event.type == "ERROR":
                        status = read_status(0, bytes(event.object))
                        self._raise_for(status, status.code, query)
                    yield event

    async def _next_part(self, part: Awaitable[bytes]) -> bytes:
        """Return what comes next.

        A server without even a bookmark may be behind the revision that was asked for, as one is that was set back to a
        backup, and would stay silent about all that is older: everything is read anew.
        """
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                return await part
        except TimeoutError:
            raise _Expired(f"nothing came for {SILENT_SECONDS:g} s; all is read anew") from None

    def _raise_for(self, status: Status, code: int, query: dict[str, str], wait_seconds: float = 0.0) -> None:
        if code == GONE or status.reason == "Expired":
            raise _Expired(f"{status.message or 'the revision asked for is too old'}; all is read anew")
        if "sendInitialEvents" in query and code in (400, 422, 500):
            raise _NoStreamingList(lasting=code != 500)
        if code == FORBIDDEN and self._asked.name is not None:
            raise refusal(self._what, code, status)
        said = f"{status.message or 'no reason given'} ({code})"
        if code == NOT_FOUND:
            raise NotServed(said)
        raise not_now(code, said, wait_seconds or status.retry_after_seconds) or _Refused(said)

    async def _list(self) -> ChangeSet:
        """Return all objects, by pages. A kind that the server does not know has none."""

        def read(raw: msgspec.Raw) -> Entry:
            return entry(self._kind, self._interests, raw)

        found, self._revision = await list_all(self._client, self._what, self._path, selectors(self._asked), read)
        self._next_by_pages = False  # a stream is tried when all is read anew: the server may only have failed once
        return ChangeSet(True, found)

    @property
    def _what(self) -> str:
        name = self._asked.name
        return f"watch {self._kind.PLURAL}" if name is None else f'watch {self._kind.PLURAL} "{name}"'

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            log.info("%s: it is back", self._what)

    async def _pause_after(self, failure: Exception) -> None:
        if not self._away:
            missing = " (are Calico's custom resource definitions installed?)" if isinstance(failure, NotServed) else ""
            said = str(failure).removeprefix(f"{self._what}: ") or "nothing came in time"  # a list has it
            log.warning("%s: %s%s; it is tried again", self._what, said, missing)
        self._away = True
        kind = _kind_of(failure)
        await asyncio.sleep(self._pauses.after(kind, failure.retry_after_seconds if isinstance(failure, NotNow) else 0))
        if kind is Failure.LOST:
            self._by_pages_until = 0.0  # another server may answer
            await self._client.reconnected()


def _kind_of(failure: Exception) -> Failure:
    match failure:
        case OSError() | ConnectionLost() | NoAnswer():
            return Failure.LOST
        case TooMany():
            return Failure.TOO_MANY
        case NotNow():
            return Failure.NOT_NOW
        case _:
            return Failure.REFUSED
