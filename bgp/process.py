"""The only door to the ExaBGP process: its configuration file, its pipes, its life.

Decides nothing about routes. Commands go in by `send`, one batch at a time; what comes out is parsed by bgp/wire.py
and handed on by `events`. Must be started as `python -P` where it runs as a program, because of its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import pwd
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from bgp import exabgp_config, wire
from bgp.exabgp_launcher import CANNOT_TUNE
from bgp.speaker import ImportPolicy, Neighbour, Speaker

LAUNCHER = Path(__file__).with_name("exabgp_launcher.py")
RELAY = """\
# Started by a stock ExaBGP as its child: joins the child's standard streams to the sidecar's pipes, which
# ExaBGP inherited but does not know of.
cat <"/proc/$PPID/fd/$FELIX_COMMANDS" &
exec cat >"/proc/$PPID/fd/$FELIX_EVENTS"
"""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0  # between two starts, doubling
START_SECONDS = 30.0  # until the first answer: many nodes may start at once on one machine
ANSWER_SECONDS = 5.0  # without one answer of a batch: ExaBGP hangs
IDLE_SECONDS = 10.0  # between two questions whether an idle ExaBGP still answers
VALIDATE_SECONDS = 60.0
FAREWELL_SECONDS = 2.0
PIPE_BYTES = 1 << 20  # ExaBGP stops, timers and all, while nobody empties its pipe

log = logging.getLogger(__name__)


class ExaBGPError(Exception):
    """ExaBGP is not running, died under a batch, or does not accept its configuration."""


class ExaBGP:
    """One ExaBGP process in the current network namespace, started again when it dies.

    Use as `async with ExaBGP(state_dir) as exabgp`; nothing runs before the first `reload`.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        stock: bool = False,
        answer_seconds: float = ANSWER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        patience: float = 1.0,
    ) -> None:
        self._dir = state_dir
        self._stock = stock
        self._patience = patience
        self._answer_seconds = answer_seconds * patience
        self._idle_seconds = idle_seconds
        self._events: asyncio.Queue[wire.Event] = asyncio.Queue()
        self._wanted = NOBODY
        self._life: Life | None = None
        self._batch = asyncio.Lock()  # held for one batch of commands and its answers
        self._file = asyncio.Lock()  # held while the file changes, and while a new process reads it
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._relay.write_text(RELAY)
        self._envfile.write_text("")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End ExaBGP. No NOTIFICATION is sent, so that peers with graceful restart keep our routes for a while."""
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor

    @property
    def pid(self) -> int | None:
        """The process id while ExaBGP answers, else None."""
        return self._life.pid if self._life else None

    async def events(self) -> AsyncIterator[wire.Event]:
        """Yield what the peers said, and Restarted and Stopped. For one consumer.

        The queue behind it has no bound: a slow consumer must never make ExaBGP wait.
        """
        while True:
            yield await self._events.get()

    async def send(self, lines: Sequence[str]) -> list[bool]:
        """Write a batch of commands (wire.announce, …) and return ExaBGP's answer to each, True for `done`.

        One batch is in flight at a time; others wait their turn. Raises ExaBGPError: no process runs, it ended,
        or it was killed because no answer came for 5 s; announce everything again after the next Restarted.
        """
        async with self._batch:
            if self._life is None:
                raise ExaBGPError(f"send {len(lines)} commands to ExaBGP: it is not running")
            return await self._life.ask(lines)

    async def reload(self, speaker: Speaker) -> None:
        """Make ExaBGP's sessions those of `speaker`; start it the first time. Unchanged sessions do not flap.

        Raises ExaBGPError, a sentence: the configuration is refused; what ran before runs on.
        """
        async with self._file:
            before, text = self._wanted, self._render(speaker)
            if text == self._render(before) and self._settings(speaker) == self._settings(before):
                self._wanted = speaker
                return
            try:
                await self._put_in_place(text, speaker)
                self._wanted = speaker
                self._changed.set()
                if self._supervisor is None:
                    self._supervisor = asyncio.create_task(self._supervise(), name="ExaBGP's supervisor")
                elif self._life is not None:
                    await self._carry_over(self._life, before, speaker)
            except OSError as error:
                self._wanted = before
                raise ExaBGPError(f"write {self._conf}: {error.strerror}; ExaBGP is not told of the change") from None

    async def _carry_over(self, life: Life, before: Speaker, after: Speaker) -> None:
        """Bring a running process from one configuration to the other; end it where it does not follow."""
        if self._settings(before) != self._settings(after):
            self._write(self._render(after))
            life.kill("the addresses it listens on changed")
            return
        rest = without_sessions_to_wake(before, after)
        try:
            for step in (rest, after) if rest != after else (after,):
                self._write(self._render(step))
                async with self._batch:
                    if not await life.reload(step.neighbours):
                        life.kill("it has other sessions than configured, although told to reload")
        except ExaBGPError:
            log.warning("reload ExaBGP: it ended meanwhile; the next one starts with the new configuration")
        # The next process must find the whole of it, whatever became of this one.
        self._write(self._render(after))

    async def _put_in_place(self, text: str, speaker: Speaker) -> None:
        """Have ExaBGP read the file before it gets its name: one that it refuses breaks every later reload."""
        candidate = self._dir / "exabgp.conf.new"
        write_private(candidate, text)
        refusal = await self._refusal(candidate, speaker)
        if refusal:
            candidate.unlink()
            raise ExaBGPError(
                f"configure ExaBGP with {len(speaker.neighbours)} sessions: {refusal}; "
                f"the configuration before it stays in force"
            )
        if self._life is None:
            candidate.rename(self._conf)

    async def _refusal(self, candidate: Path, speaker: Speaker) -> str | None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(LAUNCHER), "--validate", str(candidate)),
            env={**os.environ, **self._settings(speaker)},
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        try:
            _, complaint = await asyncio.wait_for(process.communicate(), VALIDATE_SECONDS * self._patience)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"its check of the file did not end within {VALIDATE_SECONDS * self._patience:.0f} s"
        return None if process.returncode == 0 else refusal(complaint.decode(errors="replace"))

    async def _supervise(self) -> None:
        pause, said = FIRST_PAUSE_SECONDS, ""
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            life = await self._live()
            if life.exit_code == CANNOT_TUNE and not self._stock:
                self._stock = True
                continue
            if self._changed.is_set() or clock() - started > LONGEST_PAUSE_SECONDS:
                pause, said = FIRST_PAUSE_SECONDS, ""
            reason, final = life.verdict()
            rest = LONGEST_PAUSE_SECONDS if final else pause
            if reason != said or life.answered:
                said = reason
                log.error("run ExaBGP: %s; next try in %.1f s", reason, rest)
                self._events.put_nowait(wire.Stopped(reason, final))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), rest)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _live(self) -> Life:
        """Run one process until it ends; return it for its last words."""
        life = Life(self._events, START_SECONDS * self._patience)
        try:
            async with self._file:
                self._changed.clear()
                await life.start(self._command(), self._settings(self._wanted))
                if await life.answers():
                    self._life, life.patience = life, self._answer_seconds
                    life.introduce()
            if self._life:
                await self._watch(life)
        except OSError as error:
            life.obituary = f"its process could not be started: {error.strerror}"
        finally:
            self._life = None
            await life.end()
        return life

    def _command(self) -> list[str]:
        mode = ["--stock"] if self._stock else []
        return [sys.executable, "-I", str(LAUNCHER), *mode, str(self._conf)]

    async def _watch(self, life: Life) -> None:
        """Return when the process ended; end it if it does not answer while idle."""
        while not life.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(life.over.wait(), self._idle_seconds)
                return
            async with self._batch:
                await life.answers()

    def _render(self, speaker: Speaker) -> str:
        try:
            return exabgp_config.render(speaker, self._relay)
        except exabgp_config.ConfigError as error:
            raise ExaBGPError(str(error)) from None

    def _settings(self, speaker: Speaker) -> dict[str, str]:
        return exabgp_config.environment(speaker, user=own_name(), envfile=self._envfile, stock=self._stock)

    def _write(self, text: str) -> None:
        write_private(self._dir / "exabgp.conf.new", text).rename(self._conf)

    @property
    def _conf(self) -> Path:
        return self._dir / "exabgp.conf"

    @property
    def _relay(self) -> Path:
        return self._dir / "relay.sh"

    @property
    def _envfile(self) -> Path:
        return self._dir / "exabgp.env"


class Life:
    """One ExaBGP process from its start to its end: its pipes, its answers, and what it died of."""

    def __init__(self, events: asyncio.Queue[wire.Event], patience: float) -> None:
        self.over = asyncio.Event()
        self.answered = False
        self._early: list[wire.Event] = []
        self.exit_code: int | None = None
        self._events = events
        self.patience = patience  # seconds
        self.obituary = ""
        self._answers: deque[bool] = deque()
        self._owed = 0
        self._text: list[bytes] = []
        self._progress = asyncio.Event()
        self._complaints: deque[str] = deque(maxlen=50)
        self._leaving = False
        self._process: Process | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._streams: list[Lines] = []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Start the process with our pipes. Raises OSError: it could not be started."""
        with contextlib.ExitStack() as theirs:
            # The readers first: ExaBGP stands still while nobody reads.
            events = await self._read(self._take, theirs)
            errors = await self._read(self._complain, theirs)
            commands = await self._write(theirs)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *("--commands", str(commands), "--events", str(events)),
                env={**environment, "FELIX_COMMANDS": str(commands), "FELIX_EVENTS": str(events)},
                pass_fds=(commands, events),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=errors,
            )
        self._ending = asyncio.create_task(self._note_end(self._process), name="ExaBGP's end")

    async def _read(self, take: Callable[[bytes], None], theirs: contextlib.ExitStack) -> int:
        """Open a pipe whose lines go to `take`; return the end to write to."""
        ours, other = os.pipe()
        theirs.callback(os.close, other)
        with contextlib.suppress(OSError):  # an ordinary user may have used up what he may have of pipes
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        stream = Lines(take)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: stream, os.fdopen(ours, "rb", buffering=0)
        )
        self._streams.append(stream)
        self._transports.append(transport)
        return other

    async def _write(self, theirs: contextlib.ExitStack) -> int:
        """Open the pipe for commands; return the end to read from."""
        other, ours = os.pipe()
        theirs.callback(os.close, other)
        self._writing, _ = await asyncio.get_running_loop().connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(ours, "wb", buffering=0)
        )
        self._transports.append(self._writing)
        return other

    async def ask(self, lines: Sequence[str]) -> list[bool]:
        """Write the commands and return the answer to each. Raises ExaBGPError: the process ended, or hangs."""
        # A batch given up by its caller may still be answered.
        await self._receive(self._owed)
        self._text.clear()
        self._owed += len(lines)
        self._writing.write("".join(f"{line}\n" for line in lines).encode("ascii"))
        return await self._receive(len(lines))

    async def answers(self) -> bool:
        """True if ExaBGP answers; it is ended if not."""
        try:
            return await self.ask(["version"]) == [True]
        except ExaBGPError:
            return False

    async def reload(self, expected: Sequence[Neighbour]) -> bool:
        """Have ExaBGP read its file again; True once its sessions are the expected ones.

        ExaBGP answers before it reads, and says nothing when it fails: so look what became of it.
        """
        deadline = asyncio.get_running_loop().time() + self.patience
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
        """End the process at once; the first reason given is the one that is told."""
        self.obituary = self.obituary or f"killed, because {reason}"
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def end(self) -> None:
        """End the process if it still runs, gently first; return when all it said has been read."""
        if self._process is not None:
            self._leaving = True
            if not self.over.is_set():
                with contextlib.suppress(ProcessLookupError):
                    self._process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.over.wait(), FAREWELL_SECONDS)
            if not self.over.is_set():
                self._process.kill()
            await self._ending
        for transport in self._transports:
            transport.close()

    def introduce(self) -> None:
        """Tell that this process can be spoken to, and only then what its peers said: a session may be up before the
        first answer, and Restarted means that none is."""
        self.answered = True
        for event in (wire.Restarted(), *self._early):
            self._events.put_nowait(event)
        self._early.clear()

    def verdict(self) -> tuple[str, bool]:
        """Return why the process ended, and whether it will again as long as nothing changes."""
        if self.obituary:
            return self.obituary, False
        return cause_of_death(self.exit_code, self._complaints)

    def _take(self, line: bytes) -> None:
        """Sort one line of ExaBGP's: an answer, an event, or text that belongs to an answer."""
        verdict = wire.answer(line)
        if verdict is not None:
            self._answers.append(verdict)
            self._progress.set()
        elif line.startswith(b"{"):
            try:
                event = wire.event(line)
            except (ValueError, LookupError, TypeError) as error:
                log.warning("read a line of ExaBGP's %.200r: %s; the line is left out", line, error)
                return
            if event is not None and self.answered:
                self._events.put_nowait(event)
            elif event is not None:
                self._early.append(event)
        else:
            self._text.append(line)

    async def _receive(self, count: int) -> list[bool]:
        while len(self._answers) < count:
            self._progress.clear()
            if self.over.is_set():
                raise ExaBGPError(f"wait for ExaBGP's answers: it ended, {count - len(self._answers)} are missing")
            try:
                await asyncio.wait_for(self._progress.wait(), self.patience)
            except TimeoutError:
                self.kill(f"no answer came for {self.patience:g} s")
                await self.over.wait()
        self._owed -= count
        return [self._answers.popleft() for _ in range(count)]

    async def _sessions(self) -> list[tuple[str, str, int, int, int]]:
        await self.ask(["show neighbor json"])
        return sorted(
            (peer["address"], local["address"], local["as"], peer["as"], local["hold"])
            for each in json.loads(b"".join(self._text) or b"[]")
            for local, peer in [(each["local"], each["peer"])]
        )

    async def _note_end(self, process: Process) -> None:
        self.exit_code = await process.wait()
        # The children of a stock ExaBGP hold its streams until their own input ends.
        self._writing.close()
        for stream in self._streams:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stream.ended.wait(), FAREWELL_SECONDS)
        self.over.set()
        self._progress.set()

    def _complain(self, raw: bytes) -> None:
        line = printable(raw.decode(errors="replace").rstrip())
        self._complaints.append(line)
        # That a neighbour does not take part in a family is configured, and said again for every announcement.
        expected = self._leaving or "is not configured on neighbor" in line
        log.log(logging.DEBUG if expected else logging.WARNING, "ExaBGP says: %s", line)
        if "could not load/reload configuration" in line:
            self.kill("it could not read its configuration again, after which no reload works")


class Lines(asyncio.Protocol):
    """Takes whatever ExaBGP writes as soon as it is there, line by line."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        self._take = take
        self._lines = wire.LineBuffer()

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._take(line)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set()


NOBODY = Speaker("", b"\0\0\0\0", (), 0, (), ImportPolicy(0, b"\0\0\0\0"))


def without_sessions_to_wake(before: Speaker, after: Speaker) -> Speaker:
    """Return `after` without the sessions that were passive and are to dial.

    ExaBGP never dials for such a session unless it was gone in between.
    """
    passive = {each.address for each in before.neighbours if each.passive}
    return replace(
        after,
        neighbours=tuple(each for each in after.neighbours if each.passive or each.address not in passive),
    )


def refusal(complaint: str) -> str:
    """Return the reason in what ExaBGP's check wrote, in one line and without a key that it may quote."""
    _, _, reason = complaint.rpartition("is not a valid config file:")
    lines = [printable(line.strip()) for line in (reason or complaint).splitlines() if line.strip()]
    return ", ".join("md5-password …" if "md5-password" in line else line for line in lines)


def cause_of_death(exit_code: int | None, complaints: Sequence[str]) -> tuple[str, bool]:
    """Return a sentence for an end nobody asked for, and whether the next start would end so again."""
    told = "\n".join(complaints)
    if refused := re.search(r"could not listen on (\S+):(\d+), (.*?)\)?$", told, re.MULTILINE):
        address, port, why = refused.groups()
        return f"listen on {address} port {port}: {_BIND_FAILURES.get(why.split()[0], why)}", True
    if "could not load/reload configuration" in told:
        return f"it refuses its configuration: {complaints[-1]}", True
    if exit_code is not None and exit_code < 0:
        return f"it was ended by {signal.Signals(-exit_code).name}", False
    last = f", its last words: {complaints[-1]}" if complaints else ""
    return f"it ended with exit code {exit_code}{last}", False


_BIND_FAILURES = {
    "the": "address already in use, another BGP speaker runs here",
    "this": "this node does not have the address",
    "binding": "not permitted, ports below 1024 need CAP_NET_BIND_SERVICE",
}


def write_private(path: Path, text: str) -> Path:
    """Write a file that nobody else may read, not even for a moment; return its path."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def own_name() -> str:
    """Return this process's user name: ExaBGP becomes `nobody` unless told another, and then cannot reload."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "root"  # a user id without a name is never 0: ExaBGP checks that the name exists, and keeps its id


def printable(text: str) -> str:
    """Return the text without what could drive a terminal: parts of it come from peers."""
    return "".join(character if character.isprintable() else "?" for character in text)
