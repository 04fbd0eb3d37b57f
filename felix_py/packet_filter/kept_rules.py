"""Rules of nftables that are ours: kept as they are wanted, and put right when others change them.

An edge: it is given what there should be. Rules stay when the agent ends, as routes do: running pods need them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from datastore.backoff import Backoff
from kernel.netlink import KernelError
from kernel.nftables import is_loaded
from kernel.nftables_connection import ABSENT

log = logging.getLogger("felix.nftables")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 30.0
REST_SECONDS = 0.1
"""Between two repairs: another program may be as stubborn."""

_LACKING = (*ABSENT, errno.ENOENT)

W = TypeVar("W")
W_contra = TypeVar("W_contra", contravariant=True)


class RulesWriter(Protocol[W_contra]):
    """What writes them. `kernel.nftables_writer.NftablesWriter` is one."""

    def bring_in_line(self, wanted: W_contra | None) -> bool:
        """Make them as wanted, None = none; return whether something was to be done. Raises KernelError."""

    def changed(self) -> AsyncGenerator[None]:
        """Yield after changes by others."""

    def close(self) -> None: ...


class KeptRules(Generic[W]):
    """The rules. `problem` is the sentence for why they are not as wanted, or empty."""

    def __init__(
        self,
        title: str,
        without: str,
        open_writer: Callable[[], RulesWriter[W]],
        backoff: Backoff | None = None,
        *,
        repair: bool = True,
        needs_nftables: bool = True,
    ) -> None:
        """title: what is kept, as log lines name it. without: what does not happen where it can't be.

        backoff: between tries of what could not be done. repair: look again when others changed something.
        needs_nftables: whether it is a problem that the kernel has none.
        """
        self._title, self._without, self._open, self._repair = title, without, open_writer, repair
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._needs_nftables = needs_nftables
        self._wanted: W | None = None
        self._due = asyncio.Event()
        self._known = self._stated = False  # ever, and since it was last brought in line
        self._writer: RulesWriter[W] | None = None
        self.problem = ""
        self.repairs = 0

    def apply(self, wanted: W | None) -> None:
        """State what there should be; None: nothing. It does not wait."""
        self._wanted, self._known, self._stated = wanted, True, True
        self._due.set()

    async def run(self) -> None:
        """Keep them as wanted until cancelled; what could not be done is tried again."""
        if self._known:
            self._due.set()
        followed = False
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._due.wait()
                    self._due.clear()
                    await self._bring_in_line()
                    if self._writer is not None and self._repair and not followed:
                        tasks.create_task(self._follow(self._writer))
                        followed = True
        finally:
            if self._writer is not None:
                self._writer.close()
            self._writer = None

    async def _bring_in_line(self) -> None:
        stated, self._stated = self._stated, False
        try:
            changed = self._write()
        except KernelError as error:
            self._failed(error)
            self._stated = stated
            asyncio.get_running_loop().call_later(self._backoff.next(), self._due.set)
            return
        if self.problem:
            log.info("over: %s", self.problem)
        self.problem = ""
        self._backoff.reset()
        if changed and stated:
            log.info("%s is as it should be", self._title)
        elif changed:
            self.repairs += 1
            log.warning("another program changed %s; it is put right", self._title)
            await asyncio.sleep(REST_SECONDS)

    def _write(self) -> bool:
        """Return whether something was to be done. Raises KernelError."""
        if self._writer is None and self._wanted is None and not is_loaded():
            return False  # there is none, and no module is loaded to hear so
        try:
            self._writer = self._writer or self._open()
            return self._writer.bring_in_line(self._wanted)
        except KernelError as error:
            if error.errno in ABSENT and (self._wanted is None or not self._needs_nftables):
                return False
            raise

    def _failed(self, error: KernelError) -> None:
        lacking = ": this kernel lacks part of nftables (nf_tables, nft_masq, nft_nat, nft_fib_inet)"
        why = f"{error}{lacking if error.errno in _LACKING else ''}"
        problem = f"{self._without}: {why}"
        if problem != self.problem:
            log.error("%s; it is tried again", problem)
        self.problem = problem

    async def _follow(self, writer: RulesWriter[W]) -> None:
        async with aclosing(writer.changed()) as changes:
            async for _ in changes:
                self._due.set()
