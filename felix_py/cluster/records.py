"""Takes in what the datastore reports: each reading is judged as a whole, then folded, event by event.

An edge: it logs, and writes down which cluster this is and what was known of it. Whether a loss is held back is decided
by `losses`, what an event says by the folds. No record ends an agent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable

from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent
from felix_py.cluster.losses import Losses, Note, RecordKey
from felix_py.configuration.settings import Settings, guid_file, records_file
from felix_py.files import read_text, write_text
from felix_py.notices.current_notices import CurrentNotices
from felix_py.outputs import Due
from felix_py.progress import Progress
from felix_py.topics import Topic

log = logging.getLogger("felix.records")

Fold = Callable[[WatchEvent], Topic | None]


def read_note(settings: Settings) -> Note:
    """Return what this node's agent knew of its cluster."""
    return Note.of(read_text(records_file(settings)), read_text(guid_file(settings)).strip())


class Records:
    """What one agent makes of the watch's events."""

    def __init__(
        self,
        settings: Settings,
        folds: Iterable[Fold],
        due: Due,
        progress: Progress,
        notices: CurrentNotices,
        runs: Callable[[RecordKey, str], bool],
    ) -> None:
        """folds: what is given each event, in order. runs: whether the pod of an endpoint still runs here."""
        self._settings, self._folds, self._due = settings, tuple(folds), due
        self._progress, self._notices = progress, notices
        self._losses = Losses(read_note(settings), runs)
        self._some = asyncio.Event()
        self._note, self._note_is_due = "", asyncio.Event()
        self.counts: Counter[str] = Counter()
        """How many events the watch has had of each kind."""

    @property
    def waiting(self) -> bool:
        """Whether something was taken in and is not folded yet, or not written down."""
        return self._some.is_set() or self._note_is_due.is_set()

    async def follow(self, events: AsyncIterator[WatchEvent]) -> None:
        """Take in events and fold them. A failure of either ends both: what was taken in is read anew, then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watch(events))
            tasks.create_task(self.fold_readings())
            tasks.create_task(self.write_notes())

    async def watch(self, events: AsyncIterator[WatchEvent]) -> None:
        """Take in events. The first ones, up to InSync, are all there is, whatever was reported before."""
        self._losses.begin_again()
        async for event in events:
            self.counts.update(_kind(event))
            if self._losses.add(event):  # the events of one reading come in one turn of the loop
                self._some.set()

    async def fold_readings(self) -> None:
        """Fold what was taken in, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._fold_reading()

    async def write_notes(self) -> None:
        """Write down what is known, until cancelled; of several notes the last. It waits for the disk: for a thread."""
        while True:
            await self._note_is_due.wait()
            note = self._note
            await asyncio.to_thread(write_text, records_file(self._settings), note)
            if note == self._note:
                self._note_is_due.clear()

    def _fold_reading(self) -> None:
        """Fold in what the store reported at once, unless it is a loss of the datastore itself."""
        losses, before = self._losses, self._losses.held_back
        known = losses.guid
        for event in losses.take():
            self.fold(event)
        self._progress.held_back = losses.held_back
        if losses.held_back and losses.held_back != before:
            log.error("%s", losses.held_back)
        elif before and not losses.held_back:
            log.warning("the datastore is back: what it says is acted on again")
        if losses.guid != known:
            write_text(guid_file(self._settings), losses.guid)
        if (note := losses.note()) is not None:
            self._note = note.to_text()
            self._note_is_due.set()

    def fold(self, event: WatchEvent) -> None:
        """Fold in an event. What a fold cannot use is left out, with a notice."""
        failures = []
        for fold in self._folds:
            try:
                self._due.add(fold(event) or Topic.NOTHING)
            except Exception as failure:
                log.debug("fold %s", event, exc_info=failure)
                failures.append(failure)
        for notice in self._notices.fold(event, failures):
            log.warning("not obeyed: %s", notice)


def _kind(event: WatchEvent) -> tuple[str, ...]:
    """Return the kind that an event is of, if it is of one."""
    match event:
        case InSync():
            return ()
        case Changed(resource=resource):
            return (resource.KIND,)
        case Gone() | Unreadable():
            return (event.kind.KIND,)
