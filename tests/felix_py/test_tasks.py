"""A task that fails is begun again, and said so; one that ends or is cancelled is not."""

from __future__ import annotations

import asyncio

import pytest

from datastore.backoff import Backoff
from felix_py.tasks import begun_again, reasons
from kernel.netlink import KernelError


async def test_a_task_that_fails_is_begun_again_until_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def run() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise IndexError("list index out of range")

    await begun_again("collecting", run, Backoff(0.001, 0.001, lambda: 0.0))
    assert len(runs) == 3
    line = "collecting failed: IndexError: list index out of range; it is begun again in 0.0 s"
    assert caplog.messages == [line] * 2


async def test_a_task_that_is_cancelled_ends() -> None:
    running = asyncio.create_task(begun_again("waiting", asyncio.Event().wait))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_ran_for_long_is_begun_again_as_soon_as_after_its_first_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, lasts = 0.0, iter([1.0, 1.0, 61.0, 1.0])

    async def run() -> None:
        nonlocal now
        if (seconds := next(lasts, None)) is not None:
            now += seconds
            raise OSError("disk full")

    await begun_again("writing", run, Backoff(0.1, 8.0, lambda: 0.0), lambda: now)
    assert [record.exc_info for record in caplog.records] == [None] * 4
    assert [message.rpartition(" in ")[2] for message in caplog.messages] == ["0.1 s", "0.2 s", "0.1 s", "0.2 s"]


def test_the_reasons_of_nested_groups_are_sentences_and_only_what_is_unforeseen_has_a_traceback() -> None:
    bug = IndexError("list index out of range")
    nested = ExceptionGroup("tasks", [ExceptionGroup("more", [KernelError("read the routes: no")]), bug])
    assert reasons(nested) == [("read the routes: no", None), ("IndexError: list index out of range", bug)]
