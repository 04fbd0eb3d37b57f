"""The sidecar's unix socket: one agent is served, observers get answers, and `leave` ends the sidecar.

Whoever speaks another version of the protocol is told so and served nothing; `leave` is obeyed of every version.

However long an agent does not read, what waits for it is at most one mark per prefix: the routes themselves are looked
up in RIB-in when they are written. So a stalled reader costs no session and no memory worth naming, and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from bgp.agent_feed import AgentFeed
from bgp.group_access import group_comes_in
from bgp.path_report import path_reports
from bgp.protocol import (
    LINE_LIMIT,
    Announce,
    Complete,
    Configure,
    Converged,
    GetStatus,
    Hello,
    Paths,
    PathsReply,
    Problem,
    ReplayEnd,
    SidecarMessage,
    StatusReply,
    Withdraw,
    decode,
    encode,
)
from bgp.protocol_version import VERSION, difference
from bgp.repeated_lines import RepeatedLines
from bgp.rib_in import RibIn
from bgp.speaker import Attributes, Speaker
from kernel.kept_paths import keep
from kernel.path_watch import PathWatch
from net.prefix import Prefix

log = logging.getLogger("bgp")

HELLO_SECONDS = 5.0


class Served(Protocol):
    """What the server needs of the sidecar behind it."""

    rib_in: RibIn

    @property
    def converged(self) -> bool: ...
    def configure(self, speaker: Speaker) -> None: ...
    def announce(self, routes: Mapping[Prefix, Attributes]) -> None: ...
    def withdraw(self, prefixes: Collection[Prefix]) -> None: ...
    def announce_exactly(self, routes: Mapping[Prefix, Attributes]) -> None: ...
    def report(self) -> dict[str, Any]: ...
    async def leave(self) -> None: ...


class AgentServer:
    """Accepts connections on a socket. At most one agent is connected: of two the one that started later."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._server: asyncio.Server | None = None
        self._link: AgentLink | None = None
        self._leaving = False
        self._repeated = RepeatedLines()

    @property
    def has_agent(self) -> bool:
        return self._link is not None

    @asynccontextmanager
    async def listening(self, socket_path: Path) -> AsyncIterator[None]:
        """Listen on a socket, and anew wherever somebody removes it."""
        listen = partial(self._listen, socket_path)
        await listen()
        try:
            with PathWatch() as watch:
                keeping = asyncio.create_task(keep(watch, socket_path, listen, "as no agent connects without it"))
                try:
                    yield
                finally:
                    keeping.cancel()
                    await asyncio.gather(keeping, return_exceptions=True)
        finally:
            self._end_listening()
            self._close_link()
            with suppress(FileNotFoundError):
                socket_path.unlink()

    async def _listen(self, socket_path: Path) -> None:
        """Listen on a socket that is made anew, and no more on the one before. Raises OSError."""
        socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # as process.py makes it
        with suppress(FileNotFoundError):
            socket_path.unlink()
        mask = os.umask(0o117 if group_comes_in(socket_path.parent) else 0o177)
        try:  # serving is begun later, as others have a turn then, and make files too
            anew = await asyncio.start_unix_server(self._accept, socket_path, limit=LINE_LIMIT, start_serving=False)
        finally:
            os.umask(mask)
        self._end_listening()
        self._server = anew
        await anew.start_serving()

    def _end_listening(self) -> None:
        if self._server is not None:
            self._server.close()  # who is connected stays connected

    def routes_changed(self, prefixes: Iterable[Prefix]) -> None:
        if self._link is not None:
            self._link.routes_changed(prefixes)

    def converged(self) -> None:
        if self._link is not None:
            self._link.converged()

    def problem(self, text: str) -> None:
        if self._link is not None:
            self._link.send(Problem(text))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = decode(await reader.readline())
            match hello:
                case Hello("leave"):
                    self._leaving = True
                    self._close_link()
                    await self._served.leave()
                case Hello("agent" | "observer", version=version) if found := difference(version, VERSION):
                    raise ValueError(found)
                case Hello("agent", started):
                    writer.write(encode(Hello("sidecar")))
                    await self._serve_agent(started, reader, writer)
                case Hello("observer"):
                    writer.write(encode(Hello("sidecar")))
                    await self._serve_observer(reader, writer)
                case other:
                    raise ValueError(f"a connection begins with a client's hello, not with {type(other).__name__}")
        except TimeoutError:
            self._warn(f"connection closed: no line within {HELLO_SECONDS:g} s")
        except (ValueError, ConnectionError) as error:
            self._warn(f"connection closed: {error}")
            writer.write(encode(Problem(str(error))))
        finally:
            writer.close()

    def _warn(self, line: str) -> None:
        """Log a line that whoever may connect can cause as often as they like: an agent that is refused comes back."""
        for text in self._repeated.admit(line, asyncio.get_running_loop().time()):
            log.warning("%s", text)

    async def _serve_observer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            match decode(line):
                case GetStatus():
                    writer.write(encode(StatusReply(self._served.report())))
                case Paths(prefix):
                    writer.write(encode(PathsReply(prefix, path_reports(self._served.rib_in, prefix))))
                case other:
                    raise ValueError(f"an observer does not send {type(other).__name__}")
            await writer.drain()

    async def _serve_agent(self, started: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._leaving:
            return
        if self._link is not None:
            if started < self._link.started:
                raise ValueError("serve an agent: one that started later is connected; this connection is closed")
            log.warning("an agent that started later has connected: the connection of the earlier one is closed")
            self._link.close()
        link = self._link = AgentLink(writer, self._served.rib_in, started=started, converged=self._served.converged)
        writing = asyncio.create_task(link.run())
        statement = _Statement(self._served)
        try:
            while self._link is link and (line := await reader.readline()):
                if self._link is link:
                    statement.handle(decode(line))
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            if self._link is link:
                self._link = None
                log.info("the agent has disconnected: sessions, learned routes and announcements stay")

    def _close_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class _Statement:
    """What one agent states on its connection: routes are collected until complete, and changed from then on."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._collected: dict[Prefix, Attributes] | None = {}

    def handle(self, message: SidecarMessage) -> None:
        match message, self._collected:
            case Configure(speaker), _:
                self._served.configure(speaker)
            case Announce(routes), None:
                self._served.announce(routes)
            case Announce(routes), dict(collected):
                collected.update(routes)
            case Withdraw(prefixes), None:
                self._served.withdraw(prefixes)
            case Complete(), dict(collected):
                self._served.announce_exactly(collected)
                self._collected = None
            case _:
                raise ValueError(f"an agent does not send {type(message).__name__} here")


class AgentLink:
    """Writes to one agent, which started at `started`: a replay, its end, then changes, at the pace the agent reads.

    `run` ends when the connection does.
    """

    def __init__(self, writer: asyncio.StreamWriter, rib_in: RibIn, *, started: int, converged: bool) -> None:
        self.started = started
        self._writer = writer
        self._feed = AgentFeed(rib_in)
        self._converged = converged
        self._messages: list[SidecarMessage] = []
        self._wake = asyncio.Event()

    def routes_changed(self, prefixes: Iterable[Prefix]) -> None:
        self._feed.mark(prefixes)
        self._wake.set()

    def converged(self) -> None:
        """Send once that the sessions have converged, after everything learned before."""
        if not self._converged:
            self._converged = True
            self.send(Converged())

    def send(self, message: SidecarMessage) -> None:
        """Send a message behind the routes that changed before it."""
        self._messages.append(message)
        self._wake.set()

    def close(self) -> None:
        """Close at once: an agent that does not read would never take what is still to be written."""
        self._writer.transport.abort()

    async def run(self) -> None:
        converged_at_replay = self._converged
        await self._write_routes()
        await self._write(ReplayEnd(converged_at_replay))
        while True:
            await self._wake.wait()
            self._wake.clear()
            messages, self._messages = self._messages, []
            await self._write_routes()
            for message in messages:
                await self._write(message)

    async def _write_routes(self) -> None:
        while (messages := self._feed.next_messages()) is not None:
            for message in messages:
                await self._write(message)

    async def _write(self, message: SidecarMessage) -> None:
        self._writer.write(encode(message))
        await self._writer.drain()
