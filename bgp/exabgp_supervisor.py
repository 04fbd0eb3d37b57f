"""ExaBGP, supervised: its configuration file, its reloads, and a new process whenever one ends.

    state        event                                     next state   reported
    -----------  ----------------------------------------  -----------  ----------------------------------------
    idle         reload                                    starting     (the process that has waited since the start)
    starting     the first answer                          running      SpeakerStarted, then events received before
    starting     process ends, or no answer in time        pausing      SpeakerStopped, once per reason
    starting     another release is installed by now       pausing      SpeakerStopped, and `outdated`
    running      reload, same addresses and port           running      (the file is read again)
    running      reload, other addresses or port           pausing      SpeakerStopped: killed for that
    running      its sessions are not those configured     pausing      SpeakerStopped: killed for that
    running      an address to listen on has come          pausing      SpeakerStopped: killed for that
    running      process ends                              pausing      SpeakerStopped
    running      no answer while idle or under a batch     pausing      SpeakerStopped: killed for that
    pausing      reload                                    starting     (at once)
    pausing      pause over: 0.1 s doubling to 10 s        starting     (10 s where the end was final)
    any          leaving the context                       ended        nothing; no NOTIFICATION is sent

An address that the node does not have, of several, is left out until it has it, and SpeakerStarted says so: ExaBGP
itself would end, and one family would cost the other its sessions.
A file that ExaBGP refuses changes no state, and `reload` raises: the first process refuses it itself, as `reload` waits
for its first answer; a later file is never put in place before it has passed ExaBGP's own check.

The first process is started with its supervisor, and waits with all that it needs loaded: that takes longer than the
rest of its start, and the agent, which brings the configuration, is being loaded meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import pwd
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from msgspec.structs import replace

from bgp import exabgp_config, update
from bgp.events import SpeakerEvent, SpeakerStopped
from bgp.exabgp_config import listening
from bgp.exabgp_errors import configuration_error, other_release
from bgp.exabgp_launcher.protocol_version import VERSION
from bgp.exabgp_process import ConfigurationRefused, Decode, ExaBGPError, ExaBGPProcess, OtherReleaseInstalled
from bgp.group_access import group_comes_in
from bgp.speaker import LocalNode, Speaker

LAUNCHER = Path(__file__).with_name("exabgp_launcher") / "__main__.py"

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0  # between two starts, doubling
START_SECONDS = 30.0  # until the first answer: many nodes may start at once on one machine
ANSWER_SECONDS = 5.0  # without one answer of a batch: ExaBGP hangs
IDLE_SECONDS = 10.0  # between two questions whether an idle ExaBGP still answers
VALIDATE_SECONDS = 60.0

NO_SPEAKER = Speaker("", b"\0\0\0\0", (), 0, (), LocalNode(0, b"\0\0\0\0"))

log = logging.getLogger(__name__)


class ExaBGP:
    """One ExaBGP process in the current network namespace, started again when it dies.

    Use as `async with ExaBGP(state_dir) as exabgp`; before the first `reload` it reads nothing and listens on nothing.
    timeout_factor: how many times longer than usual ExaBGP may take, for crowded machines. compare_decoders: whether
    ExaBGP decodes each UPDATE, also those that are decoded here, so that what differs is found. `outdated` is set once
    no ExaBGP runs, and none can be started, as another release than this one is installed.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        decode: Decode = update.event,
        answer_seconds: float = ANSWER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        timeout_factor: float = 1.0,
        compare_decoders: bool = False,
    ) -> None:
        self.outdated = asyncio.Event()
        self._dir = state_dir
        self._compare = ("--compare",) if compare_decoders else ()
        self._decode = decode
        self._timeout_factor = timeout_factor
        self._answer_seconds = answer_seconds * timeout_factor
        self._idle_seconds = idle_seconds
        self._events: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
        self._wanted = NO_SPEAKER
        self._running: ExaBGPProcess | None = None
        self._waiting: ExaBGPProcess | None = None
        self._first: ExaBGPProcess | None = None
        self._batch = asyncio.Lock()  # held for one batch of commands and its answers
        self._file = asyncio.Lock()  # held while the file changes, and while a new process reads it
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        write_private(self._envfile, "")
        self._waiting = self._made()
        with contextlib.suppress(OSError):  # the first `reload` tries again
            await self._launch(self._waiting)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End ExaBGP. No NOTIFICATION is sent, so that peers with graceful restart keep our routes for a while."""
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
        for process in (self._waiting, self._first):
            if process:
                await process.end()  # a supervisor that is cancelled before it begins has ended nothing

    @property
    def pid(self) -> int | None:
        """The process id while ExaBGP answers, else None."""
        return self._running.pid if self._running else None

    async def events(self) -> AsyncIterator[SpeakerEvent]:
        """Yield what the peers sent, and SpeakerStarted and SpeakerStopped. For one consumer.

        The queue behind it has no bound: a slow consumer must never make ExaBGP wait.
        """
        while True:
            yield await self._events.get()

    async def send(self, lines: Sequence[str]) -> list[bool]:
        """Write a batch of commands and return ExaBGP's answer to each, True for `done`.

        One batch is in flight at a time; others wait their turn. Raises ExaBGPError: no process runs, it ended,
        or it was killed because no answer came for 5 s; announce everything again after the next SpeakerStarted.
        """
        async with self._batch:
            if self._running is None:
                raise ExaBGPError(f"send {len(lines)} commands to ExaBGP: it is not running")
            return await self._running.ask(lines)

    async def reload(self, speaker: Speaker, in_vain: Callable[[], bool] = lambda: False) -> bool:
        """Make ExaBGP's sessions those of `speaker`; start it the first time. Unchanged sessions do not flap.

        in_vain: asked once ExaBGP has checked them, which takes a while; if it says so, what runs is left as it is, and
        False returned.
        Raises ExaBGPError, a sentence: ExaBGP did not get the configuration; what ran before runs on.
        Raises ConfigurationRefused: it got and does not accept it; `refused_sessions` finds what of it. Raises
        OtherReleaseInstalled: it cannot be asked any more.
        """
        async with self._file:
            before, text = self._wanted, exabgp_config.render(speaker)
            if text == exabgp_config.render(before) and listening(speaker) == listening(before):
                self._wanted = speaker
                return True
            try:
                if self._supervisor is None:
                    first = await self._start_first(text, speaker)
                    self._wanted = speaker
                    self._supervisor = asyncio.create_task(self._supervise(first), name="ExaBGP's supervisor")
                    return True
                await self._put_in_place(text, speaker)
                if self._running is not None and in_vain():
                    return False
                self._wanted = speaker
                self._changed.set()
                if self._running is not None:
                    await self._carry_over(self._running, before, speaker)
                return True
            except OSError as error:
                self._wanted = before
                raise ExaBGPError(f"write {self._conf}: {error.strerror}; ExaBGP's sessions stay as they are") from None

    async def refused_sessions(self, speaker: Speaker) -> dict[str, str]:
        """Return the sessions that ExaBGP does not accept, by address, with its reason for each.

        They are looked for by halving: some checks for each, of 0.2 s. Raises ExaBGPError: a check did not end.
        """
        found: dict[str, str] = {}
        async with self._file:
            left = [speaker.neighbours]
            while left:
                part = left.pop()
                written = write_private(
                    self._dir / "exabgp.conf.part", exabgp_config.render(replace(speaker, neighbours=part))
                )
                refusal = await self._refusal(written, speaker)
                written.unlink()
                if refusal is not None and len(part) == 1:
                    found[part[0].address] = refusal
                elif refusal is not None and part:
                    left += [part[: len(part) // 2], part[len(part) // 2 :]]
        return found

    async def _carry_over(self, process: ExaBGPProcess, before: Speaker, after: Speaker) -> None:
        """Bring a running process from one configuration to the other; end it where it does not follow."""
        if listening(before) != listening(after):
            self._write(exabgp_config.render(after))
            process.kill("the addresses it listens on changed")
            return
        first = without_sessions_to_recreate(before, after)
        try:
            for step in (first, after) if first != after else (after,):
                self._write(exabgp_config.render(step))
                async with self._batch:
                    if not await process.reload(step.neighbours):
                        process.kill("it has other sessions than configured, although it was reloaded")
        except ExaBGPError:
            log.warning("reload ExaBGP: it ended meanwhile; the next process starts with the new configuration")
        # The next process must find the whole of it, whatever became of this one.
        self._write(exabgp_config.render(after))

    async def _start_first(self, text: str, speaker: Speaker) -> Life:
        """Start the first process without a check before it, as nothing runs that a bad file could break.

        A check takes as long as a start. What ends before its first answer is told by one whether it was the file.
        """
        write_private(self._conf, text)
        life = await self._start(speaker)
        self._first = life.process
        if not life.answers:
            await life.process.end()
            if refusal := await self._refusal(self._conf, speaker):
                self._conf.unlink()
                raise _refused(speaker, refusal, "it is not started")
        return life

    async def _put_in_place(self, text: str, speaker: Speaker) -> None:
        """Have ExaBGP check the file before it gets its name: one that it refuses breaks every later reload."""
        candidate = self._dir / "exabgp.conf.new"
        write_private(candidate, text)
        refusal = await self._refusal(candidate, speaker)
        if refusal:
            candidate.unlink()
            raise _refused(speaker, refusal, "the configuration before it stays in force")
        if self._running is None:
            candidate.rename(self._conf)

    async def _refusal(self, candidate: Path, speaker: Speaker) -> str | None:
        """Return why ExaBGP does not accept a file, None if it does.

        Raises ExaBGPError: it came to no end; OtherReleaseInstalled: it was not asked.
        """
        process = await asyncio.create_subprocess_exec(
            *launcher("--validate", str(candidate)),
            env={**os.environ, **self._environment(), **listening(speaker)},
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        seconds = VALIDATE_SECONDS * self._timeout_factor
        try:
            async with asyncio.timeout(seconds):
                _, printed = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ExaBGPError(
                f"configure ExaBGP: its check of the file did not end within {seconds:.0f} s; "
                f"the configuration before it stays in force"
            ) from None
        said = printed.decode(errors="replace")
        if differs := other_release(process.returncode, said.splitlines()):
            if self._running is None:
                self.outdated.set()
            raise OtherReleaseInstalled(f"configure ExaBGP: {differs}; the configuration before it stays in force")
        return None if process.returncode == 0 else configuration_error(said)

    async def _supervise(self, life: Life) -> None:
        pause, reported = FIRST_PAUSE_SECONDS, ""
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            await self._attend(life)
            if self._changed.is_set() or clock() - started > LONGEST_PAUSE_SECONDS:
                pause, reported = FIRST_PAUSE_SECONDS, ""
            reason, final = life.process.exit_reason()
            if life.process.is_outdated():
                self.outdated.set()
            rest = LONGEST_PAUSE_SECONDS if final else pause
            if reason != reported or life.process.ready:
                reported = reason
                log.error("run ExaBGP: %s; next try in %.1f s", reason, rest)
                self._events.put_nowait(SpeakerStopped(reason, final))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._changed.wait()
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            async with self._file:
                self._changed.clear()
                put_back({self._conf: exabgp_config.render(self._wanted), self._envfile: ""})
                life = await self._start(self._wanted)

    async def _start(self, speaker: Speaker) -> Life:
        """Have a process run with the file that is in place; return when it answers or has ended."""
        process, self._waiting = self._waiting or self._made(), None
        missing = missing_addresses(speaker.listen)
        present = tuple(each for each in speaker.listen if each not in missing)
        try:
            if process.pid is None:
                await self._launch(process)
            process.begin(listening(replace(speaker, listen=present or speaker.listen)))
            return Life(process, missing, await process.answers())
        except OSError as error:
            process.fail(f"its process could not be started: {error.strerror}")
            return Life(process, missing, answers=False)
        except BaseException:
            await process.end()
            raise

    async def _launch(self, process: ExaBGPProcess) -> None:
        """Have a process load what it needs, and wait. Raises OSError: it could not be started."""
        await process.start(launcher(str(self._conf), *self._compare), self._environment())

    def _made(self) -> ExaBGPProcess:
        return ExaBGPProcess(self._decode, self._events, START_SECONDS * self._timeout_factor)

    async def _attend(self, life: Life) -> None:
        """Return when a process has ended, and all its output has been read."""
        process = life.process
        try:
            if life.answers:
                self._running, process.answer_seconds = process, self._answer_seconds
                process.mark_ready(_without(life.missing, self._idle_seconds))
                await self._watch(process, life.missing)
        finally:
            self._running = None
            await process.end()

    async def _watch(self, process: ExaBGPProcess, missing: tuple[str, ...]) -> None:
        """Return when the process ended; end it if it does not answer while idle, or the node has what was missing."""
        while not process.ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_seconds):
                    await process.ended.wait()
                return
            async with self._batch:
                await process.answers()
            if missing_addresses(missing) != missing:
                process.kill(f"it is to listen on {', '.join(missing)}, which the node has now")

    def _environment(self) -> dict[str, str]:
        return exabgp_config.environment(user=own_name(), envfile=self._envfile)

    def _write(self, text: str) -> None:
        write_private(self._dir / "exabgp.conf.new", text).rename(self._conf)

    @property
    def _conf(self) -> Path:
        return self._dir / "exabgp.conf"

    @property
    def _envfile(self) -> Path:
        # Not exabgp.env: a sidecar of an earlier version is root without DAC_OVERRIDE, and writes into that one.
        return self._dir / "empty.env"


class Life(NamedTuple):
    """A process that was started. missing: on which addresses it does not listen, as the node has them not."""

    process: ExaBGPProcess
    missing: tuple[str, ...]
    answers: bool


def _refused(speaker: Speaker, refusal: str, instead: str) -> ConfigurationRefused:
    return ConfigurationRefused(f"configure ExaBGP with {len(speaker.neighbours)} sessions: {refusal}; {instead}")


def launcher(*arguments: str) -> list[str]:
    """Return the command that starts ExaBGP's program, of whatever release is installed by now."""
    return [sys.executable, "-I", str(LAUNCHER), "--protocol", str(VERSION), *arguments]


def without_sessions_to_recreate(before: Speaker, after: Speaker) -> Speaker:
    """Return `after` without the sessions that were passive and are to dial.

    ExaBGP never dials for such a session unless it was gone in between.
    """
    passive = {each.address for each in before.neighbours if each.passive}
    return replace(
        after,
        neighbours=tuple(each for each in after.neighbours if each.passive or each.address not in passive),
    )


def missing_addresses(addresses: Collection[str]) -> tuple[str, ...]:
    """Return those that this node does not have, or not yet: an IPv6 address is tentative at first."""
    return tuple(address for address in addresses if not _has(address))


def _has(address: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def _without(missing: Collection[str], seconds: float) -> str:
    if not missing:
        return ""
    return (
        f"listen on {', '.join(missing)}: this node does not have the address; sessions from it do not come up; "
        f"next look in {seconds:g} s"
    )


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner may read, from the first moment on; return its path.

    So may a group that has the folder: an agent in it collects what is asked for by `felixctl node diags`. The
    folder is made where somebody has removed it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        if group_comes_in(path.parent):
            os.fchmod(file.fileno(), 0o640)  # whatever the umask is
        file.write(text)
    return path


def put_back(files: Mapping[Path, str]) -> None:
    """Write those of these files that somebody has removed."""
    with contextlib.suppress(OSError):  # ExaBGP's start says which it misses
        for path, text in files.items():
            if not path.exists():
                write_private(path, text)


def own_name() -> str:
    """Return this process's user name: ExaBGP becomes `nobody` unless given another, and then cannot reload."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "root"  # a user id without a name is never 0: ExaBGP checks that the name exists, and keeps its id
