"""The agent is ready once the kernel has what the datastore asks for; the sidecar is no condition."""

from __future__ import annotations

import asyncio

from felix_py.progress import Progress


async def test_ready_takes_the_fib_the_datastore_and_the_first_write() -> None:
    progress = Progress(fib_read=True, datastore_in_sync=True)
    assert not progress.ready
    await progress.wrote_first()
    assert progress.ready
    assert not progress.sidecar_connected


async def test_whoever_waits_goes_on_after_the_first_write() -> None:
    progress = Progress()
    waiting = asyncio.create_task(progress.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await progress.wrote_first()
    await waiting
    await progress.wait()
