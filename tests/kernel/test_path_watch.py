"""A path that changes is looked at within milliseconds, and every few seconds where nothing can be heard of it."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel import path_watch
from kernel.path_watch import PathChanges, PathWatch


@pytest.fixture(name="watch")
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PathWatch]:
    """One that looks at nothing by itself as long as it hears."""
    monkeypatch.setattr(path_watch, "REST_SECONDS", 1e9)
    with PathWatch() as made:
        yield made


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def hears(changes: PathChanges, done: Callable[[], object]) -> bool:
    """Do something, and return when that was heard."""
    done()
    async with asyncio.timeout(30):
        await changes.wait()
    return changes.heard_of


def replace(path: Path) -> None:
    (path.parent / "new").write_text("another")
    (path.parent / "new").rename(path)


@pytest.mark.parametrize(
    "done",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("other"),
        lambda path: path.rename(path.with_name("elsewhere")),
        lambda path: path.parent.rename(path.parents[1] / "moved"),
        lambda path: path.parents[1].rename(path.parents[2] / "moved"),
        lambda path: path.parents[2].rename(path.parents[3] / "moved"),
        replace,
    ],
    ids=["removed", "written", "moved", "its folder moved", "the one above", "the one above that", "replaced"],
)
async def test_what_becomes_of_a_file_is_heard(
    watch: PathWatch, tmp_path: Path, done: Callable[[Path], object]
) -> None:
    path = tmp_path / "above" / "folder" / "within" / "file"
    path.parent.mkdir(parents=True)
    path.write_text("first")
    with watch.listening(path) as changes:
        assert await hears(changes, lambda: done(path))


async def test_that_a_link_leads_to_another_file_is_heard(watch: PathWatch, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("one")

    def lead_elsewhere() -> None:
        (tmp_path / "new").symlink_to("other")
        (tmp_path / "new").rename(tmp_path / "link")

    with watch.listening(tmp_path / "link") as changes:
        assert await hears(changes, lead_elsewhere)


async def test_a_file_is_waited_for_through_the_folders_that_are_missing_too(watch: PathWatch, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    for place in (tmp_path / "a", tmp_path / "a" / "b"):
        with watch.listening(path) as changes:
            assert await hears(changes, place.mkdir)
    with watch.listening(path) as changes:
        assert await hears(changes, path.touch)


async def test_what_a_folders_other_files_do_is_not_heard(watch: PathWatch, tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    path.touch()
    with watch.listening(path) as changes, watch.listening(other) as of_other:
        for _ in range(2):
            assert await hears(of_other, other.touch)
        waiting = asyncio.create_task(changes.wait())
        other.unlink()
        with watch.listening(other) as last:
            assert await hears(last, lambda: other.touch())
        assert not waiting.done()
        waiting.cancel()


async def test_where_nothing_can_be_heard_it_is_said_once_and_looked_at_all_the_same(
    watch: PathWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(path_watch, "LOOK_SECONDS", 0.01)
    path = tmp_path / "file"
    path.touch()
    with no_descriptors_left():
        for _ in range(2):
            with watch.listening(path) as changes:
                await changes.wait()
                assert not changes.heard_of
    assert caplog.text.count(f"listen to what becomes of {path}: [Errno 24] Too many open files") == 1
    with watch.listening(path) as changes:
        assert await hears(changes, path.unlink)
