"""An assignment where handle and block are two writes: on the host's own blocks both at the same time.

Neither waits for the other, and the caller waits for both. If only one of them is done, because the other fails or this
process ends, what is left is found from either side:

    handle  block   what is left                              who finds it
    ------  ------  ----------------------------------------  ------------------------------------------------------
    done    failed  a handle that counts too much             taken back here; else the leak collector
    failed  done    an address under a handle that is absent  taken back here; else its release, which looks into the
                    or another's, in a block of this host     host's own blocks (ipam.handle_release); else the leak
                                                              collector, by its pod being gone
    unheard done    the same                                  its release: the handle may be there or not

Another host's block is no place that a release looks into. So whoever borrows has its handle written first.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from datastore.errors import DatastoreError, Unavailable
from datastore.fields import Network
from datastore.kinds.ipam import IPAMBlock
from ipam import block as blocks
from ipam.batch import Assign, AssignAny, Operation, Release, Result, Written
from ipam.counted_handles import CountedHandles
from ipam.gathering import Gathering
from ipam.handle_writer import HandleWriter

log = logging.getLogger(__name__)


class SeparateWrites:
    """The assignments of one process on a store without transactions."""

    def __init__(
        self,
        handles: HandleWriter,
        submit: Callable[[Network, Operation], Awaitable[Written]],
        waiting: Callable[[Network], int],
    ) -> None:
        """submit: has the block carry out an operation, with its next write. waiting: how many wait for that."""
        self._handles, self._submit = handles, submit
        self._counted = CountedHandles()
        self.gathering = Gathering(waiting)
        self._unheard: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        """The handles that are being written, and of which nothing has been heard yet."""

    async def assign(self, cidr: Network, operation: Assign, answered: Callable[[], None]) -> Result:
        """Have block and handle written. Raises what either refuses, the handle's refusal before the block's.

        answered: called when the block has answered.
        """
        wanted = operation.count if isinstance(operation, AssignAny) else 1
        alone = replace(operation, counted_by_caller=True)
        ahead = self._counted.ahead(cidr, operation.handle, wanted)
        with self.gathering.under_way(cidr):
            if operation.only_for is None:
                with ahead:
                    await self._count(cidr, operation, wanted)
                    given = await self._given(cidr, replace(alone, fresh=False))
            else:
                counting = asyncio.create_task(self._count(cidr, operation, wanted))
                with ahead:
                    given = await self._given(cidr, alone)
                answered()
                await asyncio.wait([counting])
                if failure := counting.exception():
                    await self._take_back(cidr, operation.handle, given, failure)
                    raise failure
        match given:
            case Written(addresses) if len(addresses) == wanted:
                return addresses
            case Written(addresses):
                await self._handles.count_if_possible(str(cidr), {operation.handle: len(addresses) - wanted})
                return addresses
            case DatastoreError():  # it may have been given
                raise given
            case _:
                await self._handles.count_if_possible(str(cidr), {operation.handle: -wanted})
                raise given

    def doubt(self, cidr: Network) -> None:
        """Take in that another has written a block: what handles count ahead of it is to be looked at again."""
        self._counted.doubt(cidr)

    async def count_again(self, before: IPAMBlock, operations: Sequence[Operation]) -> None:
        """Have the handles count what they are to, where another wrote the block since they did."""
        counting = (one.handle for one in operations if isinstance(one, Assign) and one.counted_by_caller)
        if doubted := self._counted.doubted(before.network, counting):
            await asyncio.gather(*(self._count_one_again(before, handle) for handle in doubted))

    async def _count_one_again(self, before: IPAMBlock, handle: str) -> None:
        if unheard := self._unheard.get(handle):
            await asyncio.wait(tuple(unheard))
        cidr = before.network
        self._handles.records.forget(handle)
        record = await self._handles.read(handle)
        counted = record.spec.block.get(str(cidr), 0) if record else 0
        missing = len(blocks.held_by(before, handle)) + self._counted.of(cidr, handle) - counted
        if missing > 0:
            await self._handles.count(handle, str(cidr), missing, record)
        self._counted.trust(cidr, handle)

    async def _count(self, cidr: Network, operation: Assign, wanted: int) -> None:
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unheard[operation.handle].add(heard)
        try:
            await self._handles.count(operation.handle, str(cidr), wanted, fresh=operation.fresh)
        finally:
            heard.set_result(None)
            self._unheard[operation.handle].discard(heard)
            if not self._unheard[operation.handle]:
                del self._unheard[operation.handle]

    async def _given(self, cidr: Network, operation: Operation) -> Written | Exception:
        try:
            return await self._submit(cidr, operation)
        except Exception as refusal:
            return refusal

    async def _take_back(self, cidr: Network, handle: str, given: Written | Exception, failure: BaseException) -> None:
        """Release what the block gave, if it is still assigned as it was given: the handle may be an older pod's.

        Not where the store did not answer: the handle may count it, and its release takes that back too.
        """
        if isinstance(given, Exception) or isinstance(failure, Unavailable):
            return
        releases = (Release(address, handle, given.sequence, counted_by_caller=True) for address in given.addresses)
        for failed in await asyncio.gather(*(self._given(cidr, one) for one in releases)):
            if isinstance(failed, Exception):
                log.warning("release what block %s gave %s: %s; the handle's release does it", cidr, handle, failed)
