"""What somebody removes is made anew at once, and again and again where that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kernel import kept_paths, path_watch
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch


@asynccontextmanager
async def kept(path: Path, make: Callable[[], Awaitable[None]] | None = None) -> AsyncIterator[None]:
    """Keep a file, or what `make` makes."""

    async def touch() -> None:
        path.parent.mkdir(exist_ok=True)
        path.touch()

    with PathWatch() as watch:
        keeping = asyncio.create_task(keep(watch, path, make or touch, "as others look for it"))
        try:
            yield
        finally:
            keeping.cancel()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is awaited is a file, which sets no event
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def heard_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at that is not heard of, and nothing waits for long."""
    monkeypatch.setattr(path_watch, "REST_SECONDS", 1e9)
    monkeypatch.setattr(kept_paths, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(kept_paths, "LEAST_SECONDS", 0.01)


async def test_it_is_made_anew_each_time_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "folder" / "file"
    async with kept(path):
        await until(path.exists)
        for _ in range(2):
            path.unlink()
            await until(path.exists)
        path.unlink()
        path.parent.rmdir()
        await until(path.exists)
        path.parent.rename(tmp_path / "moved")
        await until(path.exists)
        await until(lambda: caplog.text.count(f"{path} was removed by somebody; it is made anew, as others look") == 5)


async def test_what_fails_is_said_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, tries = tmp_path / "file", 0

    async def make() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise PermissionError(13, "Permission denied", str(path))
        path.touch()

    async with kept(path, make):
        await until(path.exists)
    assert tries == 4
    assert caplog.text.count(f"look after {path}: [Errno 13] Permission denied") == 1


async def test_what_cannot_be_looked_at_for_a_while_is_looked_after_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where somebody takes the right to enter its folder away."""
    path, exists = tmp_path / "file", Path.exists

    def refused(asked: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(asked))

    monkeypatch.setattr(Path, "exists", refused)
    async with kept(path):
        await until(lambda: f"look after {path}: [Errno 13] Permission denied" in caplog.text)
        monkeypatch.setattr(Path, "exists", exists)
        await until(path.exists)


async def test_a_program_that_removes_it_to_put_another_there_is_not_disturbed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, made = tmp_path / "file", list[str]()
    path.write_text("ours")

    async def make() -> None:
        made.append(path.name)
        path.write_text("ours")

    async with kept(path, make):
        await asyncio.sleep(0)
        path.unlink()
        path.write_text("theirs")
        async with kept(tmp_path / "other"):
            await until((tmp_path / "other").exists)
        assert (path.read_text(), made) == ("theirs", [])
