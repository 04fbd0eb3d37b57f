"""Tasks that are begun again after a failure, so that one fault is not the end of the agent.

An edge. For tasks only that hold nothing which a failure leaves half done; others end the agent, and its supervisor
begins all anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from felix_py.backoff import Backoff

log = logging.getLogger("felix.tasks")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 1.0, 60.0


async def begun_again(what: str, run: Callable[[], Awaitable[None]], backoff: Backoff | None = None) -> None:
    """Run until it returns or is cancelled, again after each exception. what: the task, for the log."""
    backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
    while True:
        try:
            return await run()
        except Exception:
            pause = backoff.next()
            log.exception("%s failed; it is begun again in %.1f s", what, pause)
            await asyncio.sleep(pause)
