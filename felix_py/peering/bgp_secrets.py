"""The Secrets that passwords of BGP sessions are in: each is watched while a session names it, and no other is read.

An edge. What the sessions make of it is decided by bgp/passwords.py. No value of a Secret is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import cast

from bgp.passwords import KnownSecret, KnownSecrets
from datastore.backoff import Backoff
from datastore.errors import Forbidden
from datastore.kinds.secret import Secret
from datastore.store import Changed, Gone, InSync, Interest, Store, Unreadable, WatchEvent
from felix_py.files import read_text, write_text
from felix_py.peering.last_passwords import Named, note_of, values_of
from felix_py.tasks import begun_again

log = logging.getLogger("felix.secrets")

FIRST_ANSWER_SECONDS = 5.0
"""How long the sessions stay as they are for a Secret of which nothing is known yet."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 30.0


class BgpSecrets:
    """What is known of the Secrets that this node's sessions name."""

    def __init__(
        self,
        store: Store,
        namespace: str,
        changed: Callable[[], None],
        note: Path,
        first_answer_seconds: float = FIRST_ANSWER_SECONDS,
    ) -> None:
        """changed: called when `known` or `waiting` may be another than before. note: where the values are noted."""
        self._store, self._namespace, self._changed = store, namespace, changed
        self._note, self._first_answer_seconds = note, first_answer_seconds
        self._wanted: Named = {}
        last = values_of(read_text(note), namespace)
        self._known = {name: KnownSecret(values=values) for name, values in last.items()}
        self._waiting: set[str] = set()
        self._wanted_others = asyncio.Event()

    @property
    def waiting(self) -> bool:
        """Whether the store is about to say for the first time what is in a Secret that is wanted."""
        return bool(self._waiting)

    def known(self) -> KnownSecrets:
        return KnownSecrets(self._namespace, {name: self._of(name) for name in self._wanted})

    def want(self, named: Named) -> None:
        """State which Secrets the sessions name, and which keys of them."""
        new = {name for name in named.keys() - self._wanted.keys() if not self._of(name).answered}
        self._wanted = named
        self._waiting = (self._waiting & named.keys()) | new
        for name in new:
            asyncio.get_running_loop().call_later(self._first_answer_seconds, self._wait_no_longer, name)
        self._wanted_others.set()
        self._write_note()

    async def run(self) -> None:
        """Follow what is wanted, until cancelled."""
        following: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                for name in following.keys() - self._wanted.keys():
                    following.pop(name).cancel()
                    self._known.pop(name, None)
                for name in self._wanted.keys() - following.keys():
                    what = f"following Secret {self._namespace}/{name}"
                    following[name] = tasks.create_task(begun_again(what, partial(self._follow, name)))
                self._wanted_others.clear()
                await self._wanted_others.wait()

    async def _follow(self, name: str) -> None:
        """Take in what a Secret is, until the store is closed. A right that is lacking is asked for again and again."""
        backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        while True:
            try:
                await self._watch(name, backoff)
                return
            except Forbidden as error:
                self._put_trouble(name, str(error))
                await asyncio.sleep(backoff.next())

    async def _watch(self, name: str, backoff: Backoff) -> None:
        events = self._store.watch(Interest(Secret, namespace=self._namespace, name=name))
        is_there = False
        async with aclosing(cast(AsyncGenerator[WatchEvent, None], events)):
            async for event in events:
                match event:
                    case Changed(resource=Secret() as secret):
                        is_there = True
                        self._put(name, KnownSecret(True, secret.values))
                    case Unreadable(reason=reason):
                        is_there = True
                        self._put_trouble(name, reason)
                    case Gone():
                        is_there = False
                        self._put(name, KnownSecret(True))
                    case InSync() if not is_there:
                        self._put(name, KnownSecret(True))
                backoff.reset()

    def _put_trouble(self, name: str, trouble: str) -> None:
        self._put(name, KnownSecret(True, self._of(name).values, trouble))

    def _put(self, name: str, known: KnownSecret) -> None:
        before, self._known[name] = self._of(name), known
        self._waiting.discard(name)
        if before == known:
            return
        if known.values is not None and not known.trouble:
            log.info("Secret %s/%s is read: passwords of BGP sessions are in it", self._namespace, name)
        self._write_note()
        self._changed()

    def _of(self, name: str) -> KnownSecret:
        return self._known.get(name, KnownSecret())

    def _write_note(self) -> None:
        """Note the values that sessions have now, and no others. A disk that refuses is no reason to end a session."""
        values = {name: known.values for name, known in self._known.items() if known.values is not None}
        write_text(self._note, note_of(self._namespace, values, self._wanted), 0o600)

    def _wait_no_longer(self, name: str) -> None:
        if name in self._waiting:
            self._waiting.discard(name)
            self._changed()
