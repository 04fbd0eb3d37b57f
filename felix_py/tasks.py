"""Tasks that are begun again after a failure, so that one fault is not the end of the agent.

An edge. A task that is begun again reads anew what a failure may have left half done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from datastore.backoff import Backoff
from datastore.errors import DatastoreError
from ipam.errors import IpamError
from kernel.netlink import KernelError

log = logging.getLogger("felix.tasks")

FORESEEN = (DatastoreError, IpamError, KernelError, OSError)
"""What may always happen, and whose text says it all: it needs no traceback."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0


async def begun_again(
    what: str,
    run: Callable[[], Awaitable[None]],
    backoff: Backoff | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run until it returns or is cancelled, again after each exception. what: the task, for the log.

    One that has run for a minute is begun again as soon as after its first failure.
    """
    backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while True:
        begun = clock()
        try:
            return await run()
        except Exception as failure:
            if clock() - begun > LAST_RETRY_SECONDS:
                backoff.reset()
            pause = backoff.next()
            for text, unforeseen in reasons(failure):
                log.error("%s failed: %s; it is begun again in %.1f s", what, text, pause, exc_info=unforeseen)
            await asyncio.sleep(pause)


def reasons(failure: Exception) -> list[tuple[str, Exception | None]]:
    """Return why something failed, each reason as a sentence; with the exception where only a traceback explains it."""
    if isinstance(failure, ExceptionGroup):
        return [reason for one in failure.exceptions for reason in reasons(one)]
    if isinstance(failure, FORESEEN):
        return [(str(failure), None)]
    return [(f"{type(failure).__name__}: {failure}", failure)]
