"""What the datastore reports is taken in whole: an event that cannot be used loses no other, a loss is held back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.store import Changed, Gone, InSync, WatchEvent
from felix_py.cluster.losses import Losses, Note
from felix_py.cluster.records import Records, read_note
from felix_py.configuration.settings import settings_from
from felix_py.notices.current_notices import CurrentNotices
from felix_py.outputs import Due
from felix_py.progress import Progress
from felix_py.topics import Topic
from tests.felix_py.fakes import until

CLUSTER = ClusterInformation.make("default", clusterGUID="ours")
NODES = [Node.make(f"n{number}") for number in range(12)]


class Watching:
    """Records of one agent whose state folder is given, and what they folded."""

    def __init__(self, folder: Path, poison: str = "") -> None:
        self.settings = settings_from({"FELIX_STATE_DIR": str(folder)})
        self.poison, self.folded = poison, list[WatchEvent]()
        self.progress, self.due, self.notices = Progress(), Due(), CurrentNotices("n0")
        self.records = Records(
            self.settings, [self.fold], self.due, self.progress, self.notices, lambda key, device: True
        )

    def fold(self, event: WatchEvent) -> Topic:
        if isinstance(event, Changed) and event.resource.name == self.poison:
            raise OverflowError("cannot convert float infinity to integer")
        self.folded.append(event)
        return Topic.NODES

    async def take(self, *events: WatchEvent) -> None:
        """Have these events reported in one reading, and folded."""
        working = [asyncio.create_task(work()) for work in (self.records.fold_readings, self.records.write_notes)]
        await self.records.watch(_each(events))
        await until(lambda: not self.records.waiting)
        for task in working:
            task.cancel()


async def _each(events: Iterable[WatchEvent]) -> AsyncIterator[WatchEvent]:
    for event in events:
        yield event


def all_there() -> list[WatchEvent]:
    return [Changed(CLUSTER), *map(Changed, NODES), InSync()]


async def test_an_event_that_a_fold_cannot_use_is_a_notice_and_loses_no_other(tmp_path: Path) -> None:
    one = Watching(tmp_path, poison="n3")
    await one.take(*all_there())
    assert [event for event in all_there() if event not in one.folded] == [Changed(NODES[3])]
    assert [notice.name for notice in one.notices.all()] == ["n3"]
    assert one.due.take() == Topic.NODES


async def test_a_loss_is_held_back_over_a_restart_until_the_operator_confirms_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await Watching(tmp_path).take(*all_there())
    assert (tmp_path / "cluster-guid").read_text() == "ours"
    assert len(read_note(settings_from({"FELIX_STATE_DIR": str(tmp_path)})).records) == 13
    for _ in range(2):
        restarted = Watching(tmp_path)
        await restarted.take(Changed(CLUSTER), InSync())
        assert "nearly everything in the datastore went at once (12 of 13" in restarted.progress.held_back
        assert InSync() not in restarted.folded
    assert "running pods keep their routes" in caplog.text
    (tmp_path / "known-records").unlink()
    confirmed = Watching(tmp_path)
    await confirmed.take(Changed(CLUSTER), InSync())
    assert not confirmed.progress.held_back
    assert InSync() in confirmed.folded


async def test_a_disk_that_takes_no_note_keeps_nothing_from_being_folded(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way of a folder")
    one = Watching(tmp_path / "state")
    await one.take(*all_there())
    assert one.folded == all_there()


async def test_events_are_folded_while_the_disk_takes_a_note_and_the_newest_note_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, notes = threading.Event(), threading.Event(), list[str]()

    def slowly(path: Path, text: str) -> None:
        begun.set()
        assert may_end.wait(30)
        notes.append(text)

    one = Watching(tmp_path)
    await one.take(Changed(CLUSTER), InSync())
    reported: asyncio.Queue[WatchEvent] = asyncio.Queue()

    async def reports() -> AsyncIterator[WatchEvent]:
        while True:
            yield await reported.get()

    monkeypatch.setattr("felix_py.cluster.records.write_text", slowly)
    following = asyncio.create_task(one.records.follow(reports()))
    events: list[WatchEvent] = [Changed(CLUSTER), InSync(), *map(Changed, NODES)]
    for event in events:
        reported.put_nowait(event)
        await until(lambda event=event: event in one.folded)  # type: ignore[misc]
        await until(lambda: begun.is_set() or len(one.folded) < 6)
    may_end.set()
    await until(lambda: not one.records.waiting)
    following.cancel()
    known = [len(Note.of(text, "ours").records) for text in notes]
    assert len(known) == 2 and known[0] < known[1]


async def test_what_went_while_the_watch_was_broken_is_gone(tmp_path: Path) -> None:
    one = Watching(tmp_path)
    await one.take(*all_there())
    one.folded.clear()
    await one.take(Changed(CLUSTER), *map(Changed, NODES[1:]), InSync())
    assert one.folded[0] == Gone(Node, "n0")


async def test_a_reading_that_could_not_be_taken_in_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it may be lost: the watch ends with it, and the next one begins a new picture."""
    agent = Watching(tmp_path)

    async def endless(*events: WatchEvent) -> AsyncIterator[WatchEvent]:
        for event in events:
            yield event
        await asyncio.Event().wait()

    def fail(self: Losses) -> list[WatchEvent]:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(Losses, "take", fail)
        with pytest.raises(ExceptionGroup):
            await agent.records.follow(endless(*all_there()))
    following = asyncio.create_task(agent.records.follow(endless(*all_there())))
    await until(lambda: len(agent.folded) == len(all_there()))
    following.cancel()
    assert agent.folded == all_there()


async def test_what_the_watch_reports_is_counted_by_kind(tmp_path: Path) -> None:
    one = Watching(tmp_path)
    await one.take(*all_there(), Gone(Node, "n1"))
    assert one.records.counts == {"ClusterInformation": 1, "Node": len(NODES) + 1}
