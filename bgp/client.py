"""The agent's end of the sidecar's socket.

It states what is wanted, again on every connection; nothing here waits for the sidecar. Imported by the
agent, never by the sidecar's process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct

from bgp.path_report import PathReport
from bgp.protocol import (
    LINE_LIMIT,
    Announce,
    Complete,
    Configure,
    Converged,
    GetStatus,
    Hello,
    Learned,
    Paths,
    PathsReply,
    Problem,
    ReplayEnd,
    SidecarMessage,
    StatusReply,
    Withdraw,
    Withdrawn,
    cut,
    decode,
    encode,
)
from bgp.protocol_version import UNSTATED, VERSION, difference
from bgp.replay import ReplayTracker
from bgp.speaker import Attributes, Speaker
from kernel.path_watch import PathChanges, PathWatch
from net.prefix import Prefix

log = logging.getLogger("bgp.client")

# Events not yet consumed: beyond these the socket is not read, and the sidecar keeps them, one per prefix.
EVENTS_AHEAD = 64
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 2.0
ANSWER_SECONDS = 5.0


class Connected(Struct, frozen=True):
    """A sidecar answers. A replay of all it has learned follows, up to ReplayEnd."""


class Disconnected(Struct, frozen=True):
    """The sidecar is away. What it had learned holds until a later connection withdraws it."""


class VersionDiffers(Struct, frozen=True):
    """The sidecar speaks another version of the protocol: nothing was stated to it, and what it had learned holds.

    text: a sentence, which has what to do. It is said once until there is a connection again.
    """

    text: str


SidecarEvent: TypeAlias = (
    Connected | Learned | Withdrawn | ReplayEnd | Converged | Problem | Disconnected | VersionDiffers
)


class SidecarError(Exception):
    """The sidecar could not answer a question; the text has the reason."""


class OtherVersionError(Exception):
    """The sidecar speaks another version of the protocol; the text says which, and what to do."""


class SidecarClient:
    """What the agent states to the sidecar, and the events it gets back. `run` maintains the connection."""

    def __init__(self, socket_path: str | Path, watch: PathWatch | None = None) -> None:
        """watch: by which the socket's coming is heard; None: it is only looked for now and then."""
        self._path = str(socket_path)
        self._watch = watch
        self._started = time.monotonic_ns()
        self._served = False
        self._difference = ""  # of the versions, as it was reported
        self._replay = ReplayTracker()
        self._speaker: Speaker | None = None
        self._wanted: Mapping[Prefix, Attributes] | None = None
        self._wake = asyncio.Event()
        self._events: asyncio.Queue[SidecarEvent] = asyncio.Queue(EVENTS_AHEAD)

    @property
    def speaker(self) -> Speaker | None:
        """What was configured last."""
        return self._speaker

    @property
    def announced(self) -> Mapping[Prefix, Attributes]:
        """What was announced last."""
        return self._wanted or {}

    async def configure(self, speaker: Speaker) -> None:
        """State who this node is and which sessions it has."""
        self._speaker = speaker
        self._wake.set()

    async def announce(self, rib_out: Mapping[Prefix, Attributes]) -> None:
        """State everything this node announces; what is not in it is withdrawn."""
        self._wanted = dict(rib_out)
        self._wake.set()

    async def events(self, held: Callable[[], Iterable[Prefix]]) -> AsyncIterator[SidecarEvent]:
        """Yield what the sidecar reports, for one consumer; not reading for a while loses nothing.

        What a new connection does not repeat is Withdrawn before its ReplayEnd(converged=True) or Converged. held:
        returns what the consumer has taken in as learned and not as withdrawn, by the events it has had so far.
        """
        while True:
            event = await self._events.get()
            match event:
                case Connected():
                    self._replay.connected(held())
                case Learned(routes):
                    self._replay.said(routes)
                case Withdrawn(prefixes):
                    self._replay.said(prefixes)
                case ReplayEnd(converged=True) | Converged():
                    if gone := self._replay.converged():
                        yield Withdrawn(gone)
            yield event

    async def status(self) -> dict[str, Any]:
        """Return the sidecar's own report. Raises SidecarError: it is not running or does not answer."""
        answer = await self._ask(GetStatus(), "its status")
        if not isinstance(answer, StatusReply):
            raise SidecarError(f"ask the sidecar on {self._path} for its status: it answered {answer}")
        return answer.report

    async def paths(self, prefix: Prefix) -> tuple[PathReport, ...]:
        """Return every path of every peer to exactly this prefix, those in use first. Raises SidecarError."""
        answer = await self._ask(Paths(prefix), f"the paths to {prefix}")
        if not isinstance(answer, PathsReply):
            raise SidecarError(f"ask the sidecar on {self._path} for the paths to {prefix}: it answered {answer}")
        return answer.paths

    async def _ask(self, question: GetStatus | Paths, subject: str) -> SidecarMessage:
        """Ask on a connection of its own, as an observer: the agent's carries routes."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
                try:
                    writer.write(encode(Hello("observer")) + encode(question))
                    await _expect_own_version(reader)
                    return decode(await reader.readline())
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError, OtherVersionError) as error:
            raise SidecarError(f"ask the sidecar on {self._path} for {subject}: {error}") from error

    async def run(self) -> None:
        """Connect, and connect again whenever the connection ends, until cancelled."""
        pause = FIRST_RETRY_SECONDS
        while True:
            with nullcontext() if self._watch is None else self._watch.listening(Path(self._path)) as changes:
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path, limit=LINE_LIMIT)
                except OSError as error:
                    log.debug("connect to the sidecar on %s: %s; next try in %.1f s", self._path, error, pause)
                    pause = await _until_it_may_be_there(changes, pause)
                    continue
            self._served = connected = False
            try:
                await _write(writer, Hello("agent", self._started))
                await _expect_own_version(reader)
                connected = True
                await self._begin()
                await self._converse(reader, writer)
            except OtherVersionError as error:
                await self._report_difference(str(error))
            except (OSError, ValueError) as error:
                log.warning("connection to the sidecar on %s: %s; connecting again", self._path, error)
            finally:
                writer.close()
            if connected:
                await self._events.put(Disconnected())
            # Closed before its replay: its version is another, or an agent that started later is connected. Come back
            # more slowly.
            pause = FIRST_RETRY_SECONDS if self._served else min(2 * pause, LAST_RETRY_SECONDS)
            await asyncio.sleep(pause)

    async def _begin(self) -> None:
        self._difference = ""
        await self._events.put(Connected())

    async def _report_difference(self, text: str) -> None:
        if text != self._difference:
            self._difference = text
            await self._events.put(VersionDiffers(text))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        statement = asyncio.create_task(self._state(writer))
        try:
            while line := await reader.readline():
                await self._receive(decode(line))
        finally:
            statement.cancel()
            await asyncio.gather(statement, return_exceptions=True)  # raises only if this task is cancelled meanwhile

    async def _receive(self, message: SidecarMessage) -> None:
        """Pass one line on as an event."""
        match message:
            case ReplayEnd():
                self._served = True
            case Learned() | Withdrawn() | Converged() | Problem():
                pass
            case _:
                raise ValueError(f"a sidecar does not send {type(message).__name__}")
        await self._events.put(message)

    async def _state(self, writer: asyncio.StreamWriter) -> None:
        """Send the difference from what this connection has stated to what is wanted, until cancelled."""
        stated_speaker: Speaker | None = None
        stated: Mapping[Prefix, Attributes] | None = None
        while True:
            self._wake.clear()
            speaker, wanted = self._speaker, self._wanted
            if speaker is not None and speaker != stated_speaker:
                await _write(writer, Configure(speaker))
                stated_speaker = speaker
            if wanted is not None and wanted is not stated:
                await _state_routes(writer, stated, wanted)
                stated = wanted
            await self._wake.wait()


async def _until_it_may_be_there(changes: PathChanges | None, pause: float) -> float:
    """Return when the socket may have come, after a pause at the latest; and how long the next one is.

    A socket is there before anybody listens on it: one that has just come is tried again soon.
    """
    if changes is None or not changes.heard_of:
        await asyncio.sleep(pause)
        return min(2 * pause, LAST_RETRY_SECONDS)
    try:
        async with asyncio.timeout(pause):
            await changes.wait()
    except TimeoutError:
        return min(2 * pause, LAST_RETRY_SECONDS)
    return FIRST_RETRY_SECONDS


async def _expect_own_version(reader: asyncio.StreamReader) -> None:
    """Read the first line that a sidecar sends. Raises OtherVersionError; ConnectionError: there is none."""
    line = await reader.readline()
    if not line:
        raise ConnectionError("it was closed before the sidecar said which version it speaks")
    if found := _version_problem(line):
        raise OtherVersionError(found)


def _version_problem(line: bytes) -> str | None:
    """Return what is said of the sidecar that begins with this line; None: it is of this version.

    One of before versions were stated begins with what the agent, or the question, is for.
    """
    try:
        first = decode(line)
    except ValueError:
        return difference(VERSION, UNSTATED)
    match first:
        case Hello("sidecar", version=version):
            return difference(VERSION, version)
        case Problem(text):
            return text
    return difference(VERSION, UNSTATED)


async def _state_routes(
    writer: asyncio.StreamWriter, stated: Mapping[Prefix, Attributes] | None, wanted: Mapping[Prefix, Attributes]
) -> None:
    """Send the difference; the first time on a connection everything, and that it is complete."""
    before = stated or {}
    gone = {prefix: None for prefix in before if prefix not in wanted}
    for portion in cut(gone):
        await _write(writer, Withdraw(tuple(portion)))
    for portion in cut({prefix: a for prefix, a in wanted.items() if before.get(prefix) != a}):
        await _write(writer, Announce(portion))
    if stated is None:
        await _write(writer, Complete())


async def _write(writer: asyncio.StreamWriter, message: SidecarMessage) -> None:
    writer.write(encode(message))
    await writer.drain()
