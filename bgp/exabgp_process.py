"""One ExaBGP process from its start to its end: its pipes, its answers, and why it ended.

Decides nothing about routes. What the process writes about peers goes through the decoder that is handed in, and from
there to a queue; starting the next process is bgp/exabgp_supervisor.py's task.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from bgp.events import SpeakerEvent, SpeakerStarted
from bgp.exabgp_errors import LOAD_FAILED, exit_cause, other_release, printable, without_key
from bgp.exabgp_json import LineBuffer, answer
from bgp.repeated_lines import RepeatedLines
from bgp.speaker import Neighbour
from bgp.update import COMPARE, UPDATE, one_by_one

TERMINATE_SECONDS = 2.0
PIPE_BYTES = 1 << 20  # ExaBGP stops, timers and all, while its output pipe is full
KEPT_STDERR_LINES = 50
EVENTS_FACTOR = 10  # how many times `answer_seconds` events alone keep a batch waiting

Decode: TypeAlias = Callable[[bytes], SpeakerEvent | None]

log = logging.getLogger(__name__)


class ExaBGPError(Exception):
    """ExaBGP is not running, died under a batch, or does not accept its configuration."""


class ConfigurationRefused(ExaBGPError):
    """ExaBGP has checked a configuration and does not accept it, for a session or as a whole."""


class OtherReleaseInstalled(ExaBGPError):
    """The launcher that is installed is of another release than this sidecar: nothing that it starts can be used."""


class ExaBGPProcess:
    """A process started with `start`, which waits until it is told to `begin`, and stopped with `end`.

    decode: returns the event in a line that begins with `{`, `update ` or `compare `, or None. Raises ValueError,
    LookupError or TypeError: the line is malformed; of what it holds only the UPDATE that can't be read is skipped, and
    logged.
    answer_seconds: how long a batch may go without an answer or an event before the process counts as hanging: while
    peers send much, answers come late, but not EVENTS_FACTOR times as late. It may be changed.
    """

    def __init__(self, decode: Decode, events: asyncio.Queue[SpeakerEvent], answer_seconds: float) -> None:
        self.ended = asyncio.Event()
        self.ready = False
        self.exit_code: int | None = None
        self.answer_seconds = answer_seconds
        self._decode = decode
        self._events = events
        self._events_before_ready: list[SpeakerEvent] = []
        self._exit_reason = ""
        self._repeated = RepeatedLines()
        self._answers: deque[bool] = deque()
        self._answers_pending = 0
        self._answer_text: list[bytes] = []
        self._progress = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=KEPT_STDERR_LINES)
        self._ending = False
        self._process: Process | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._readers: list[LineReader] = []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process with our pipes. Raises OSError: it could not be started."""
        with contextlib.ExitStack() as theirs:
            # The readers first: ExaBGP stops while its output is not read.
            events = await self._open_for_reading(self._on_line, theirs)
            errors = await self._open_for_reading(self._on_stderr, theirs)
            commands = await self._open_for_writing(theirs)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *("--commands", str(commands), "--events", str(events)),
                env=environment,
                pass_fds=(commands, events),
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=errors,
            )
        self._waiter = asyncio.create_task(self._wait_for_exit(self._process), name="ExaBGP's exit")

    def begin(self, settings: Mapping[str, str]) -> None:
        """Have the process read its configuration and serve; these are the settings of ExaBGP that come with it."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write("".join(f"{name}={value}\n" for name, value in settings.items()).encode())
        self._process.stdin.close()

    async def _open_for_reading(self, on_line: Callable[[bytes], None], theirs: contextlib.ExitStack) -> int:
        """Open a pipe whose lines go to `on_line`; return the end to write to."""
        ours, other = os.pipe()
        theirs.callback(os.close, other)
        with contextlib.suppress(OSError):  # an ordinary user's share of pipe memory may be used up
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        reader = LineReader(on_line)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: reader, os.fdopen(ours, "rb", buffering=0)
        )
        self._readers.append(reader)
        self._transports.append(transport)
        return other

    async def _open_for_writing(self, theirs: contextlib.ExitStack) -> int:
        """Open the pipe for commands; return the end to read from."""
        other, ours = os.pipe()
        theirs.callback(os.close, other)
        self._commands, _ = await asyncio.get_running_loop().connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(ours, "wb", buffering=0)
        )
        self._transports.append(self._commands)
        return other

    async def ask(self, lines: Sequence[str]) -> list[bool]:
        """Write the commands and return the answer to each. Raises ExaBGPError: the process ended, or hangs."""
        # A batch whose caller was cancelled is still answered.
        await self._receive(self._answers_pending)
        self._answer_text.clear()
        self._answers_pending += len(lines)
        self._commands.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        return await self._receive(len(lines))

    async def answers(self) -> bool:
        """True if ExaBGP answers; it is killed if not."""
        try:
            return await self.ask(["version"]) == [True]
        except ExaBGPError:
            return False

    async def reload(self, expected: Sequence[Neighbour]) -> bool:
        """Have ExaBGP read its file again; True once its sessions are the expected ones.

        ExaBGP answers before it reads, and reports no failure: only its list of sessions shows the result.
        """
        deadline = asyncio.get_running_loop().time() + self.answer_seconds
        wanted = sorted(
            (each.address, each.local_address, each.local_as, each.peer_as, each.hold_time) for each in expected
        )
        pause = 0.01
        await self.ask(["reload"])
        while await self._sessions() != wanted:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.2)
        return True

    def kill(self, reason: str) -> None:
        """End the process at once; the first reason given is the one reported."""
        self.fail(f"killed, because {reason}")
        if self._process and self._process.returncode is None:
            self._process.kill()

    def fail(self, reason: str) -> None:
        self._exit_reason = self._exit_reason or reason

    async def end(self) -> None:
        """End the process if it still runs, with SIGTERM first; return when all its output has been read."""
        if self._process is not None:
            self._ending = True
            if not self.ended.is_set():
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TERMINATE_SECONDS):
                        await self.ended.wait()
            if not self.ended.is_set():
                with contextlib.suppress(ProcessLookupError):  # it has ended, and its output is still being read
                    self._process.kill()
            await self._waiter
        for transport in self._transports:
            transport.close()

    def mark_ready(self, problem: str = "") -> None:
        """Report that the process takes commands, and only then what its peers sent before that.

        A session may be up before the first answer, and SpeakerStarted means that none is.
        """
        self.ready = True
        for event in (SpeakerStarted(problem), *self._events_before_ready):
            self._events.put_nowait(event)
        self._events_before_ready.clear()

    def exit_reason(self) -> tuple[str, bool]:
        """Return why the process ended, and whether it would end so again as long as nothing changes."""
        if self._exit_reason:
            return self._exit_reason, False
        return exit_cause(self.exit_code, self._stderr)

    def is_outdated(self) -> bool:
        """Whether it ended as another release is installed than that of this sidecar."""
        return not self._exit_reason and other_release(self.exit_code, self._stderr) is not None

    def _on_line(self, line: bytes) -> None:
        """Sort one line of output: an answer, an event, or text that belongs to an answer."""
        accepted = answer(line)
        if accepted is not None:
            self._answers.append(accepted)
            self._progress.set()
        elif line.startswith((b"{", UPDATE, COMPARE)):
            self._on_event(line)
        else:
            self._answer_text.append(line)

    def _on_event(self, line: bytes) -> None:
        self._progress.set()
        try:
            event = self._decode(line)
        except (ValueError, LookupError, TypeError) as error:
            if len(parts := one_by_one(line)) > 1:
                for part in parts:
                    self._on_event(part)
                return
            self._warn(f"decode ExaBGP's line {line[:200]!r}: {error!r}; the line is skipped")
            return
        if event is not None and self.ready:
            self._events.put_nowait(event)
        elif event is not None:
            self._events_before_ready.append(event)

    def _on_stderr(self, raw: bytes) -> None:
        line = without_key(printable(raw.decode(errors="replace").rstrip()))
        self._stderr.append(line)
        # That a neighbour lacks a family is configured, and ExaBGP repeats it for every announcement.
        expected = self._ending or "is not configured on neighbor" in line
        if expected:
            log.debug("ExaBGP: %s", line)
        else:
            self._warn(f"ExaBGP: {line}")
        if LOAD_FAILED in line and self.ready:  # at its start it ends by itself
            self.kill("it could not read its configuration again, after which no reload works")

    def _warn(self, line: str) -> None:
        """Log a line that a peer, or whoever connects to the port, may cause as often as it likes."""
        for text in self._repeated.admit(line, asyncio.get_running_loop().time()):
            log.warning("%s", text)

    async def _receive(self, count: int) -> list[bool]:
        clock = asyncio.get_running_loop().time
        answered, since = len(self._answers), clock()
        while len(self._answers) < count:
            if len(self._answers) > answered:
                answered, since = len(self._answers), clock()
            self._progress.clear()
            if self.ended.is_set():
                raise ExaBGPError(f"wait for ExaBGP's answers: it ended, {count - len(self._answers)} are missing")
            longest = EVENTS_FACTOR * self.answer_seconds
            left = since + longest - clock()
            try:
                async with asyncio.timeout(min(self.answer_seconds, left)):
                    await self._progress.wait()
            except TimeoutError:
                waited = self.answer_seconds if left > self.answer_seconds else longest
                self.kill(f"no answer came for {waited:g} s")
                await self.ended.wait()
        self._answers_pending -= count
        return [self._answers.popleft() for _ in range(count)]

    async def _sessions(self) -> list[tuple[str, str, int, int, int]]:
        await self.ask(["show neighbor json"])
        return sorted(
            (peer["address"], local["address"], local["as"], peer["as"], local["hold"])
            for each in json.loads(b"".join(self._answer_text) or b"[]")
            for local, peer in [(each["local"], each["peer"])]
        )

    async def _wait_for_exit(self, process: Process) -> None:
        self.exit_code = await process.wait()
        self._commands.close()
        for reader in self._readers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TERMINATE_SECONDS):
                    await reader.ended.wait()
        self.ended.set()
        self._progress.set()


class LineReader(asyncio.Protocol):
    """Reads a pipe as fast as it is written, and passes on each whole line."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        self._on_line = on_line
        self._lines = LineBuffer()

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._on_line(line)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()
