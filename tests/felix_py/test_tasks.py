"""A task that fails is begun again, and said so; one that ends or is cancelled is not."""

from __future__ import annotations

import asyncio

import pytest

from felix_py.backoff import Backoff
from felix_py.tasks import begun_again


async def test_a_task_that_fails_is_begun_again_until_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def run() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise IndexError("list index out of range")

    await begun_again("collecting", run, Backoff(0.001, 0.001, lambda: 0.0))
    assert len(runs) == 3
    assert caplog.messages == ["collecting failed; it is begun again in 0.0 s"] * 2


async def test_a_task_that_is_cancelled_ends() -> None:
    running = asyncio.create_task(begun_again("waiting", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
