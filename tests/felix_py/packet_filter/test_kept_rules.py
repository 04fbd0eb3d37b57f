"""Rules of ours over a writer that is a small stand-in; with the real one in tests/kernel and the lab."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest

from datastore.backoff import Backoff
from felix_py.packet_filter.kept_rules import KeptRules
from kernel.netlink import KernelError
from kernel.nftables_table import AddressSet, OwnTable
from tests.felix_py.fakes import until

TITLE, WITHOUT = "the table", "nothing is translated"
ONE = OwnTable((AddressSet("one", 4, frozenset()),))
OTHER = OwnTable((AddressSet("other", 4, frozenset()),))


class Kernel:
    """What a kernel holds of the table, and its refusals."""

    def __init__(self) -> None:
        self.held: OwnTable | None = None
        self.refusals: list[KernelError] = []
        self.opened = self.closed = 0
        self.asked: list[OwnTable | None] = []
        self._changed = asyncio.Event()

    def open(self) -> Kernel:
        if self.refusals:
            raise self.refusals.pop(0)
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def bring_in_line(self, wanted: OwnTable | None) -> bool:
        self.asked.append(wanted)
        if self.refusals:
            raise self.refusals.pop(0)
        before, self.held = self.held, wanted
        return before != wanted

    def holds(self, table: OwnTable | None) -> bool:
        return self.held == table

    def change(self, held: OwnTable | None) -> None:
        """What another program does."""
        self.held = held
        self._changed.set()

    async def changed(self) -> AsyncGenerator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield


@asynccontextmanager
async def kept(kernel: Kernel, *, repair: bool = True) -> AsyncIterator[KeptRules[OwnTable]]:
    table: KeptRules[OwnTable] = KeptRules(TITLE, WITHOUT, kernel.open, Backoff(0.001, 0.002), repair=repair)
    task = asyncio.create_task(table.run())
    try:
        yield table
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_nothing_is_done_before_anything_is_stated() -> None:
    kernel = Kernel()
    kernel.held = ONE
    async with kept(kernel):
        await asyncio.sleep(0)
    assert (kernel.opened, kernel.held) == (0, ONE)


async def test_the_table_is_as_stated_and_stays_when_the_agent_ends() -> None:
    kernel = Kernel()
    async with kept(kernel) as table:
        for wanted in (ONE, OTHER, None, ONE):
            table.apply(wanted)
            await until(partial(kernel.holds, wanted))
    assert (kernel.held, kernel.closed) == (ONE, 1)


async def test_one_that_nobody_wants_any_more_is_removed_after_a_restart_too() -> None:
    kernel = Kernel()
    kernel.held = ONE
    async with kept(kernel) as table:
        table.apply(None)
        await until(lambda: kernel.held is None)


async def test_what_others_change_is_put_right_said_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    async with kept(kernel) as table:
        table.apply(ONE)
        await until(lambda: kernel.held == ONE)
        for held in (None, OTHER) * 8:  # each as quickly as the first
            kernel.change(held)
            await until(partial(kernel.holds, ONE))
        await until(lambda: table.repairs == 16)
    assert "another program changed the table; it is put right" in caplog.text


async def test_where_nothing_is_to_be_repaired_it_is_left() -> None:
    kernel = Kernel()
    async with kept(kernel, repair=False) as table:
        table.apply(ONE)
        await until(lambda: kernel.held == ONE)
        kernel.change(OTHER)
        for _ in range(10):
            await asyncio.sleep(0)
        assert kernel.held == OTHER


async def test_what_is_refused_is_a_problem_until_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel()
    kernel.refusals = [KernelError("write: not permitted (EPERM)", errno.EPERM)] * 3
    async with kept(kernel) as table:
        table.apply(ONE)
        await until(lambda: table.problem)
        assert table.problem == f"{WITHOUT}: write: not permitted (EPERM)"
        await until(lambda: kernel.held == ONE)
        assert table.problem == ""
    assert caplog.text.count("it is tried again") == 1, "once, not for each try"


async def test_a_kernel_that_lacks_it_is_a_problem_only_where_it_is_wanted() -> None:
    kernel = Kernel()
    async with kept(kernel) as table:
        kernel.refusals = [KernelError("open nftables: none (EPROTONOSUPPORT)", errno.EPROTONOSUPPORT)] * 100000
        table.apply(None)
        for _ in range(10):
            await asyncio.sleep(0)
        assert table.problem == ""
        table.apply(ONE)
        await until(lambda: table.problem)
        assert "this kernel lacks part of nftables (nf_tables, nft_masq, nft_nat, nft_fib_inet)" in table.problem


async def test_a_task_that_is_begun_again_brings_in_line_what_was_stated() -> None:
    kernel = Kernel()
    table: KeptRules[OwnTable] = KeptRules(TITLE, WITHOUT, kernel.open)
    for _ in range(2):
        kernel.held = None
        task = asyncio.create_task(table.run())
        if not kernel.opened:
            table.apply(ONE)
        await until(lambda: kernel.held == ONE)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (kernel.opened, kernel.closed) == (2, 2)
