"""One page over HTTP on 127.0.0.1, by which a kubelet sees that the sidecar's loop turns. Edge.

Any request gets it. It comes out of the loop that folds UPDATEs and serves the agent: if that hangs, so does this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

log = logging.getLogger("bgp.health")

HOST = "127.0.0.1"
REQUEST_SECONDS = 5.0
REQUEST_BYTES = 1 << 12
MOST_CONNECTIONS = 8  # at one time; others wait in the kernel, or are closed
RETRY_SECONDS = 5.0
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nalive\n"


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[None]:
    """Answer on a port, 0 = on none. One that another program has is asked for again, and the sidecar goes on."""
    if not port:
        yield
        return
    listening = asyncio.create_task(_listen(port))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen(port: int) -> None:
    places = asyncio.Semaphore(MOST_CONNECTIONS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not places.locked():
            async with places:
                await _answer(reader, writer)
        writer.close()

    while True:
        try:
            server = await asyncio.start_server(answer, HOST, port, limit=REQUEST_BYTES)
        except OSError as error:
            log.warning("answer probes on %s port %d: %s; next try in %g s", HOST, port, error.strerror, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        async with server:
            await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_PAGE)
            await writer.drain()
