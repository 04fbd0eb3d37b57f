"""Endpoints that are written after the answer, where pods are the endpoints: one at a time, again until it is done.

An edge. A pod runs whether or not its addresses are written on it, so no runtime waits for that, and what one waits for
goes first. What waits when the agent ends is found by the next one (cni/unwritten.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from msgspec import Struct, field

from cni.attachment import Attachment
from cni.endpoint_owner import is_of
from datastore.backoff import Backoff
from datastore.errors import BadRecord, DatastoreError, Forbidden, NotFound, Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Store

log = logging.getLogger("cni.endpoints")

PAUSE_SECONDS, PATIENCE_SECONDS = 0.02, 0.1
"""How long no verb is to have been under way before a write, which would share the API server with the next of several
ADDs; and for how long a write waits for that."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0
AWAY_SECONDS = 8.0
"""The last while the datastore is away: ten seconds after it is back, all that waits is to be written."""

_Key: TypeAlias = tuple[str | None, str]


class _Waiting(Struct, eq=False):
    endpoint: WorkloadEndpoint
    due: float = 0.0
    refused: Backoff = field(default_factory=lambda: Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS))
    away: Backoff = field(default_factory=lambda: Backoff(FIRST_RETRY_SECONDS, AWAY_SECONDS))


class EndpointWriter:
    """What waits to be written: for each pod the endpoint of its newest container."""

    def __init__(self, store: Store, held_back: Callable[[], str] = lambda: "") -> None:
        """held_back: why the store is not taken for the cluster's, if so: what it says of pods is not believed then."""
        self._store, self._held_back = store, held_back
        self._waiting: dict[_Key, _Waiting] = {}
        self._some = asyncio.Event()
        self._writing: _Waiting | None = None
        self._written = asyncio.Event()

    def put(self, endpoint: WorkloadEndpoint) -> None:
        """Have an endpoint written, instead of what waits under its name."""
        self._waiting[_key(endpoint)] = _Waiting(endpoint)
        self._some.set()

    def of(self, attachment: Attachment) -> WorkloadEndpoint | None:
        """Return an attachment's endpoint while it waits."""
        return next((one.endpoint for one in self._waiting.values() if is_of(one.endpoint, attachment)), None)

    async def drop(self, attachment: Attachment) -> None:
        """Have nothing of an attachment written from now on; return when no write of it is under way."""
        if (endpoint := self.of(attachment)) is not None:
            del self._waiting[_key(endpoint)]
        while self._writing is not None and is_of(self._writing.endpoint, attachment):
            await self._written.wait()

    async def run(self, quiet_for: Callable[[float], Awaitable[None]]) -> None:
        """Write what waits, until cancelled. quiet_for: returns when no verb was carried out for so many seconds."""
        now = asyncio.get_running_loop().time
        while True:
            self._some.clear()
            first = min(self._waiting.values(), key=lambda one: one.due, default=None)
            pause = None if first is None else first.due - now()
            if first is None or (pause and pause > 0):
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._some.wait()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await quiet_for(PAUSE_SECONDS)
            if self._waiting.get(_key(first.endpoint)) is first:
                await self._write(first)

    async def _write(self, waiting: _Waiting) -> None:
        self._writing, self._written = waiting, asyncio.Event()
        try:
            if await self._is_settled(waiting):
                if self._waiting.get(_key(waiting.endpoint)) is waiting:
                    del self._waiting[_key(waiting.endpoint)]
                for other in self._waiting.values():  # what kept them waiting may be over
                    other.due = min(other.due, waiting.due)
        finally:
            self._writing = None
            self._written.set()

    async def _is_settled(self, waiting: _Waiting) -> bool:
        """Write an endpoint; return whether there is no more to do."""
        pod = f"{waiting.endpoint.namespace}/{waiting.endpoint.spec.pod}"
        try:
            if why := self._held_back():
                raise Unavailable(why)
            await self._store.create(waiting.endpoint)
        except NotFound as gone:
            log.info("%s; the addresses of %s are written nowhere", gone, pod)
        except BadRecord:
            pass  # it is written: what else its pod holds cannot be read
        except DatastoreError as failure:
            refused = isinstance(failure, Forbidden) or not isinstance(failure, Unavailable)
            pause = (waiting.refused if refused else waiting.away).next()
            waiting.due = asyncio.get_running_loop().time() + pause
            log.warning(
                "write the addresses of %s on its pod: %s; it is attached all the same; next try in %.1f s",
                pod,
                failure,
                pause,
            )
            return False
        return True


def _key(endpoint: WorkloadEndpoint) -> _Key:
    return endpoint.namespace, endpoint.name
