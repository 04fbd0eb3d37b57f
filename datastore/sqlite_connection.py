"""A connection to the embedded store's file, and its thread.

Small work is done where it is asked for: it takes less time than handing it to a thread and back. What may take long is
on the connection's own thread: large readings, opening the file, writing the log back into it, and whatever waits for
a lock that another process holds. That is waited for until a deadline, then the work raises Unavailable. Any other
commit is a write into the page cache, and waits for no disk, unless the log has become much too long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from operator import eq
from typing import Any, TypeVar
from weakref import ReferenceType, ref

from datastore.errors import Unavailable
from datastore.sqlite_file import (
    LOCK_WAIT_SECONDS,
    LOG_BYTES,
    LONGEST_LOG_BYTES,
    SCHEMA,
    FileIdentity,
    connect,
    create,
    identity,
    is_busy,
    log_size,
    translated,
)

log = logging.getLogger(__name__)

COMMITS_A_CHECKPOINT = 100  # of some pages each: about as often as SQLite itself would
MOST_PASSES = 4  # over a log that is too long: each has what was committed during the one before
WAIT_SECONDS = 0.05  # for which writers wait for readers, where the log is too long
FAR_BEHIND = 0.1
"""Where so large a share of the log cannot be written back, a reader is far behind: it will not end soon."""

T = TypeVar("T")
IsKnown = Callable[[FileIdentity | None], bool]
"""Whether a file may be worked on."""


def _any(file: FileIdentity | None) -> bool:
    return True


class ConnectionThread:
    """One thread and its connection, which is opened when first needed and again after it was lost."""

    def __init__(self, path: str | None, name: str, existed: threading.Event) -> None:
        self._path = path
        self._existed = existed
        self._connection: sqlite3.Connection | None = None
        self.file: FileIdentity | None = None
        """What the connection has open: another once the file was replaced."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{name}")
        self._last: ReferenceType[Future[Any]] | None = None
        """What the thread was last given: when it is done, the thread is idle. What came of it is not kept."""
        self._commits = 0
        self._had_its_turn = False
        """Whether small work was done in this turn of the loop."""
        self._closed = False
        self.generation = 0
        """How often a file was opened. Revisions of two generations must not be compared."""

    async def run(
        self,
        what: str,
        work: Callable[[sqlite3.Connection], T],
        is_known: IsKnown = _any,
    ) -> T:
        """Return what `work` does with the connection, on the thread. is_known: whether this file may be worked on.

        Raises Unavailable: it was not possible within the time there is. Raises Invalid: it never will be.
        """
        return await asyncio.wrap_future(self._submit(what, work, is_known))

    async def run_small(self, what: str, work: Callable[[sqlite3.Connection], T], is_known: IsKnown = _any) -> T:
        """Return what `work`, which takes a fraction of a millisecond, does with the connection. Raises as `run`.

        It is done at once, unless the thread has something to do, the file is not open, or it is locked. Of several in
        one turn of the loop only the first returns in it: others have their turn, too.
        """
        if not self._is_free or not is_known(self.file):
            return await self.run(what, work, is_known)
        try:
            assert self._connection is not None
            done = work(self._connection)
        except sqlite3.Error as error:
            if not is_busy(error):
                self._drop()
                raise translated(what, self._path, error) from error
            return await self.run(what, work, is_known)
        if self._had_its_turn:
            await asyncio.sleep(0)
        else:
            self._had_its_turn = True
            asyncio.get_running_loop().call_soon(self._end_turn)
        return done

    def _end_turn(self) -> None:
        self._had_its_turn = False

    def committed(self) -> None:
        """Count a commit; now and then have the log written back into the file, on the thread: it waits for the disk.

        To be called where the work is asked for.
        """
        self._commits += 1
        if self._path is not None and (self._commits % COMMITS_A_CHECKPOINT == 0 or self._found_long_log):
            with suppress(Unavailable):  # the store is closed
                same_file = partial(eq, self.file)
                self._submit("write its log back", _checkpoint, same_file).add_done_callback(_complain)

    @property
    def _found_long_log(self) -> bool:
        """Whether this is the first commit, and who came before ended without writing back a log that is too long."""
        return self._commits == 1 and log_size(str(self._path)) > LOG_BYTES

    @property
    def _is_free(self) -> bool:
        """Whether the connection is there, nobody uses it, and its file is still the one that has the name."""
        last = None if self._last is None else self._last()
        return (
            (last is None or last.done())
            and not self._closed
            and self._connection is not None
            and (self._path is None or self.file == identity(self._path))
        )

    async def reopen(self) -> None:
        """Have whoever needs the file next open it anew. Raises Unavailable: the store is closed."""
        await asyncio.wrap_future(self._hand_over("open the file anew", self._drop))

    def _submit(self, what: str, work: Callable[[sqlite3.Connection], T], is_known: IsKnown) -> Future[T]:
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        return self._hand_over(what, partial(self._run_until, what, work, is_known, deadline))

    def _hand_over(self, what: str, work: Callable[[], T]) -> Future[T]:
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            raise Unavailable(f"{what} in {self._path or 'memory'}: the store is closed") from None
        self._last = ref(future)
        return future

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        self._drop()

    def _run_until(
        self,
        what: str,
        work: Callable[[sqlite3.Connection], T],
        is_known: IsKnown,
        deadline: float,
    ) -> T:
        pause = 0.0002
        while True:
            try:
                connection = self._open()
                if not is_known(self.file):
                    raise Unavailable(
                        f"{what} in {self._path}: the file was replaced and is read anew; nothing was done, try again"
                    )
                return work(connection)
            except sqlite3.Error as error:
                if is_busy(error) and time.monotonic() < deadline:
                    # SQLite's own waiting grows to 100 ms a step, far more than a write takes.
                    time.sleep(pause * random.uniform(0.5, 1.5))
                    pause = min(2 * pause, 0.005)
                    continue
                if not is_busy(error):
                    self._drop()
                raise translated(what, self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        if self._path is not None and self.file is not None and self.file != identity(self._path):
            self._drop()  # the file was removed or replaced: what is written to the old one would be lost
        if self._connection is None:
            if self._path is not None and not self._existed.is_set() and not os.path.exists(self._path):
                create(self._path)
            self._connection = connect(self._path)
            self.file = identity(self._path) if self._path is not None else None
            self._existed.set()
            self.generation += 1
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self.file = None


def _complain(written: Future[None]) -> None:
    if not written.cancelled() and (failure := written.exception()) is not None:
        log.warning("%s; its log grows until it can be done", failure)


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Write what no reader needs any more of the log into the file. It waits for nobody but the disk.

    A log begins anew only with a commit that finds all of it written back and nobody reading from it. Where somebody
    always reads, that never comes by itself: writers are made to wait for readers, who then find all they need in the
    file. The first commit into a log that begins anew waits for the disk: let it be this one, or whoever is quicker.
    """
    longest_pass = 0.0
    for _ in range(MOST_PASSES):
        begun = time.monotonic()
        _, pages, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        longest_pass = max(longest_pass, time.monotonic() - begun)
        length = pages * connection.execute("PRAGMA page_size").fetchone()[0]
        if length <= LOG_BYTES:
            break
        if may_begin_anew(length, (pages - written) / pages, longest_pass):
            _begin_anew(connection)
            break
    try:
        connection.execute(f"PRAGMA user_version={SCHEMA}")
    except sqlite3.Error as error:
        if not is_busy(error):
            raise


def may_begin_anew(length: int, left: float, pass_seconds: float) -> bool:
    """Whether writers are made to wait, so that a log that is too long begins anew.

    length: its bytes. left: the share of it that is not written back. pass_seconds: what writing back has just taken.

    Where much is left a reader is far behind, stopped perhaps, and they would wait in vain. Where anything is left they
    wait for the disk as well: only for one that is quick, unless the log is much too long.
    """
    if left >= FAR_BEHIND:
        return False
    return left == 0 or pass_seconds < WAIT_SECONDS or length > LONGEST_LOG_BYTES


def _begin_anew(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout={1000 * WAIT_SECONDS:.0f}")
    try:
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    finally:
        connection.execute("PRAGMA busy_timeout=0")
