"""This node's own table of nftables: kept as it is wanted, and put right when others change it.

An edge: it is given what the table should hold. Rules stay when the agent ends, as routes do: running pods need them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from contextlib import aclosing

from datastore.backoff import Backoff
from kernel.netlink import KernelError
from kernel.nftables import is_loaded
from kernel.nftables_table import OwnTable
from kernel.nftables_writer import ABSENT, NftablesWriter

log = logging.getLogger("felix.nftables")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 30.0
REST_SECONDS = 0.1
"""Between two repairs: another program may be as stubborn."""


WITHOUT = "natOutgoing is not carried out on this node, and its tunnel takes packets from anyone"

_LACKING = (*ABSENT, errno.ENOENT)


class KernelPacketTable:
    """The table. `problem` is the sentence for why it is not as wanted, or empty."""

    def __init__(
        self,
        name: str,
        open_writer: Callable[[str], NftablesWriter] = NftablesWriter,
        backoff: Backoff | None = None,
        *,
        repair: bool = True,
    ) -> None:
        """backoff: between tries of what could not be done. repair: put right what others change."""
        self._name, self._open, self._repair = name, open_writer, repair
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._wanted: OwnTable | None = None
        self._due = asyncio.Event()
        self._known = self._stated = False  # ever, and since it was last brought in line
        self._writer: NftablesWriter | None = None
        self.problem = ""
        self.repairs = 0

    def apply(self, table: OwnTable | None) -> None:
        """State what the table should hold; None: there should be none. It does not wait."""
        self._wanted, self._known, self._stated = table, True, True
        self._due.set()

    async def run(self) -> None:
        """Keep the table as wanted until cancelled; what could not be done is tried again."""
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
            log.info("table inet %s of nftables is as it should be", self._name)
        elif changed:
            self.repairs += 1
            log.warning("another program changed table inet %s of nftables; it is put right", self._name)
            await asyncio.sleep(REST_SECONDS)

    def _write(self) -> bool:
        """Return whether something was to be done. Raises KernelError."""
        if self._writer is None and self._wanted is None and not is_loaded():
            return False  # there is none, and no module is loaded to hear so
        try:
            self._writer = self._writer or self._open(self._name)
            return self._writer.bring_in_line(self._wanted)
        except KernelError as error:
            if self._wanted is None and error.errno in ABSENT:
                return False
            raise

    def _failed(self, error: KernelError) -> None:
        lacking = ": this kernel lacks part of nftables (nf_tables, nft_masq, nft_nat, nft_fib_inet)"
        why = f"{error}{lacking if error.errno in _LACKING else ''}"
        problem = f"{WITHOUT}: {why}"
        if problem != self.problem:
            log.error("%s; it is tried again", problem)
        self.problem = problem

    async def _follow(self, writer: NftablesWriter) -> None:
        async with aclosing(writer.changed()) as changes:
            async for _ in changes:
                self._due.set()
