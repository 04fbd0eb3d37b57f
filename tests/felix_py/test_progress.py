"""Waiting for the first write, and noting it."""

from __future__ import annotations

import asyncio

from felix_py.progress import Progress


async def test_whoever_waits_goes_on_after_the_first_write() -> None:
    progress = Progress()
    waiting = asyncio.create_task(progress.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await progress.wrote_first()
    await waiting
    await progress.wait()
    assert progress.first_write
