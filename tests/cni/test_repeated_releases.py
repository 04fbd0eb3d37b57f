"""Releases that are repeated: when, how often, what ends that, and what of it outlives the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cni import repeated_releases
from cni.attachment import Attachment, PodRef
from cni.endpoints import Endpoints
from cni.journal import Journal, PendingRelease
from cni.journaled_releases import JournaledReleases
from cni.locks import KeyedLock, lock_keys
from cni.repeated_releases import RepeatedReleases
from datastore.errors import Unavailable
from ipam.unrecorded_handles import UnrecordedHandles
from tests.cni.node import NODE, until
from tests.datastore.memory_store import MemoryStore

FIRST, SECOND = (
    PendingRelease(Attachment("net", container, "eth0"), PodRef("default", f"web-{container}", ""))
    for container in ("c1", "c2")
)


class Releases:
    """What was released, and how often the datastore is away before it is."""

    def __init__(self) -> None:
        self.done: list[PendingRelease] = []
        self.refusals = 0

    async def __call__(self, one: PendingRelease, *_: object) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("the test has no datastore")
        self.done.append(one)


def read(folder: Path) -> RepeatedReleases:
    return RepeatedReleases(Journal(folder / "repeated.journal"))


@asynccontextmanager
async def running(repeated: RepeatedReleases, locks: KeyedLock | None = None) -> AsyncIterator[Releases]:
    releases, endpoints = Releases(), Endpoints(MemoryStore(), NODE)
    carried_out = JournaledReleases(
        repeated.journal,
        locks or KeyedLock(),
        endpoints,
        releases,
        repeat=lambda done: None,
        unrecorded=UnrecordedHandles(),
        handle_names=None,
        retry_seconds=repeated_releases.LATE_WRITE_SECONDS,
    )
    task = asyncio.create_task(repeated.run(carried_out.carry_out_all))
    yield releases
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_releases, "LATE_WRITE_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_each_is_repeated_once(tmp_path: Path) -> None:
    repeated = read(tmp_path)
    async with running(repeated) as releases:
        repeated.put([FIRST])
        await until(lambda: not repeated.pending)
        repeated.put([SECOND])
        await until(lambda: not repeated.pending)
    assert releases.done == [FIRST, SECOND]
    assert read(tmp_path).pending == ()


async def test_none_is_repeated_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = read(tmp_path)
    repeated.put([FIRST])
    monkeypatch.setattr(repeated_releases, "LATE_WRITE_SECONDS", 0.0)
    async with running(repeated) as releases:
        repeated.put([SECOND])
        await until(lambda: repeated.pending == (FIRST,))
        assert releases.done == [SECOND]


@pytest.mark.usefixtures("at_once")
async def test_what_a_process_did_not_live_to_repeat_the_next_one_does(tmp_path: Path) -> None:
    read_before = read(tmp_path)
    read_before.put([FIRST, SECOND])
    repeated = read(tmp_path)
    async with running(repeated) as releases:
        await until(lambda: not repeated.pending)
    assert releases.done == [FIRST, SECOND]


@pytest.mark.usefixtures("at_once")
async def test_one_that_the_datastore_does_not_take_is_tried_again(tmp_path: Path) -> None:
    repeated = read(tmp_path)
    async with running(repeated) as releases:
        releases.refusals = 2
        repeated.put([FIRST])
        await until(lambda: not repeated.pending)
    assert (releases.refusals, releases.done) == (0, [FIRST])


@pytest.mark.usefixtures("at_once")
async def test_a_container_that_is_attached_again_keeps_what_it_gets(tmp_path: Path) -> None:
    """Also if it is attached while the release waits for its lock."""
    locks = KeyedLock()
    repeated = read(tmp_path)
    async with running(repeated, locks) as releases:
        async with locks.hold(*lock_keys(*FIRST)):
            repeated.put([FIRST])
            await until(lambda: locks.users(lock_keys(*FIRST)[0]) == 2)
            repeated.forget("c1")
        repeated.put([SECOND])
        await until(lambda: not repeated.pending)
    assert releases.done == [SECOND]
    assert read(tmp_path).pending == ()


async def test_what_is_carried_out_together_is_written_to_disk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated, written = read(tmp_path), list[tuple[PendingRelease, ...]]()
    monkeypatch.setattr(Journal, "add", lambda _, *releases: written.append(releases))
    repeated.put([FIRST, SECOND])
    assert written == [(FIRST, SECOND)]


async def test_a_full_disk_leaves_it_to_the_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    repeated = read(tmp_path)

    def refuse(_: Any, *__: PendingRelease) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Journal, "add", refuse)
    repeated.put([FIRST])
    assert "No space left on device; what its ADD may still be given is released by the leak collector" in caplog.text
