"""The objects of one kind as the API server's watch reports them: all of them first, then what changes.

An edge. It recovers by itself: a stream that ends is begun again where it was, a revision that the server has forgotten
means all objects anew, and each failure is followed by a longer pause with jitter.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec

from datastore.errors import DatastoreError, NotFound
from datastore.kube.answers import GONE, Status, read_status
from datastore.kube.client import ApiClient
from datastore.kube.http2 import ConnectionLost
from datastore.kube.objects import Entry, Interests, entry, outline
from datastore.kube.page import PAGE_SIZE, read_page
from datastore.kube.paths import collection, selectors, with_query
from datastore.kube.shallow import members
from datastore.record import Resource
from datastore.store import Interest
from datastore.watch import ChangeSet

log = logging.getLogger(__name__)

SHORTEST_SECONDS, LONGEST_SECONDS = 300, 600
"""How long the server is asked to keep a watch before it ends it."""
SILENT_SECONDS = 150.0
"""How long a watch may bring nothing, not even the bookmark of each minute, before it is begun again."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 30.0
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


async def _within(seconds: float, part: Awaitable[bytes]) -> bytes:
    async with asyncio.timeout(seconds):
        return await part


class _Expired(Exception):
    """The server has forgotten what came after the revision that was asked for."""


class _NoStreamingList(Exception):
    """The server does not send all objects in a watch."""


class _Refused(Exception):
    """The watch was refused, or ended by an error of the server's."""


class WatchStream:
    """One kind, from now on: the objects that any of `interests` means. The server filters where there is only one."""

    def __init__(
        self, client: ApiClient, kind: type[Resource], interests: Interests, group_version: Callable[[], Awaitable[str]]
    ) -> None:
        self._client, self._kind, self._interests = client, kind, interests
        self._asked = interests[0] if len(interests) == 1 else Interest(kind)
        self._group_version, self._path = group_version, ""
        self._revision = ""
        self._lists_in_streams = True
        self._pause = FIRST_PAUSE_SECONDS
        self._away = False

    async def readings(self) -> AsyncGenerator[ChangeSet, None]:
        """Yield a complete reading, then changes; complete ones again when the place was lost. It never ends."""
        while True:
            try:
                self._path = collection(self._kind, await self._group_version(), self._asked.namespace)
                async with aclosing(self._until_it_ends()) as found:
                    async for reading in found:
                        self._is_back()
                        yield reading
            except _Expired:
                self._revision = ""
            except _NoStreamingList:
                self._lists_in_streams = False
            except (OSError, ssl.SSLError, ConnectionLost, _Refused, DatastoreError, msgspec.DecodeError) as error:
                await self._pause_after(error)

    async def _until_it_ends(self) -> AsyncGenerator[ChangeSet, None]:
        if not self._revision and not self._lists_in_streams:
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
                self._raise_for(read_status(stream.status, body), stream.status, query)
            rest = b""
            while part := await _within(SILENT_SECONDS, connection.read(stream)):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    event = _read_event(line)
                    if event.type == "ERROR":
                        status = read_status(0, bytes(event.object))
                        self._raise_for(status, status.code, query)
                    yield event

    def _raise_for(self, status: Status, code: int, query: dict[str, str]) -> None:
        if code == GONE or status.reason == "Expired":
            raise _Expired
        if "sendInitialEvents" in query and code in (400, 422, 500):
            raise _NoStreamingList
        raise _Refused(f"{status.message or 'no reason given'} ({code})")

    async def _list(self) -> ChangeSet:
        """Return all objects, by pages. A kind that the server does not know has none."""
        found: list[Entry] = []
        query = {**selectors(self._asked), "limit": str(PAGE_SIZE)}
        while True:
            answer = await self._client.request(self._what, "GET", with_query(self._path, query))
            page = read_page(answer.body)
            found += [entry(self._kind, self._interests, raw) for raw in page.items]
            if not page.metadata.next:
                self._revision = page.metadata.resource_version
                return ChangeSet(True, found)
            query["continue"] = page.metadata.next

    @property
    def _what(self) -> str:
        return f"watch {self._kind.PLURAL}"

    def _is_back(self) -> None:
        self._pause = FIRST_PAUSE_SECONDS
        if self._away:
            self._away = False
            log.info("%s: it is back", self._what)

    async def _pause_after(self, error: Exception) -> None:
        if not self._away:
            missing = " (are Calico's custom resource definitions installed?)" if isinstance(error, NotFound) else ""
            log.warning("%s: %s%s; it is tried again", self._what, str(error) or "nothing came in time", missing)
        self._away = True
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
