"""An ExaBGP that is only a list of lines, a clock that stands still, and a sidecar with both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bgp.events import GracefulRestart, PeerOpen, PeerUp, SpeakerEvent, SpeakerStarted
from bgp.exabgp_process import ConfigurationRefused, ExaBGPError
from bgp.sidecar import Sidecar
from bgp.speaker import Speaker
from net.prefix import pack
from tests.bgp.fabric import Agent, until

PEER = "192.0.2.2"


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeExaBGP:
    """Answers `done` to every line while it runs, `error` to those `refused`.

    `dies_at` is a part of the line under which it dies, once. It does not load what has one of the `unacceptable`
    sessions, and nothing while it `refuses`. `checks` counts what it was given; a check lasts until it `may_end`.
    """

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[SpeakerEvent] = asyncio.Queue()
        self.lines: list[str] = []
        self.speakers: list[Speaker] = []
        self.refused: set[str] = set()
        self.refuses: str | None = None
        self.dies_at: str | None = None
        self.unacceptable: dict[str, str] = {}  # address and reason
        self.checks = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    def emit(self, *events: SpeakerEvent) -> None:
        for event in events:
            self.waiting.put_nowait(event)

    async def events(self) -> AsyncIterator[SpeakerEvent]:
        while True:
            yield await self.waiting.get()

    async def send(self, lines: Sequence[str]) -> list[bool]:
        await asyncio.sleep(0)
        for line in lines:
            if self.dies_at is not None and self.dies_at in line:
                self.dies_at = None
                raise ExaBGPError("died")
            self.lines.append(line)
        return [line not in self.refused for line in lines]

    async def reload(self, speaker: Speaker, in_vain: Callable[[], bool]) -> bool:
        self.checks += 1
        await self.may_end.wait()
        if self.refuses is not None:
            raise ExaBGPError(self.refuses)
        if await self.refused_sessions(speaker):
            raise ConfigurationRefused("configure ExaBGP: no")
        if not self.speakers:
            self.emit(SpeakerStarted())
        elif in_vain():
            return False
        self.speakers.append(speaker)
        return True

    async def refused_sessions(self, speaker: Speaker) -> dict[str, str]:
        addresses = {each.address for each in speaker.neighbours}
        return {address: reason for address, reason in self.unacceptable.items() if address in addresses}

    def come_up(self, peer: str = PEER) -> None:
        restart = GracefulRestart(120, restarting=False, families=(("ipv4", True),))
        self.emit(PeerOpen(peer, pack(peer), 64512, 90, ("ipv4",), restart=restart), PeerUp(peer))


@asynccontextmanager
async def serving(
    directory: Path, load_again_seconds: float = 15.0
) -> AsyncIterator[tuple[FakeExaBGP, Sidecar, Agent]]:
    """A sidecar that serves, its ExaBGP, and an agent that is not started yet."""
    exabgp = FakeExaBGP()
    sidecar = Sidecar(exabgp, clock=Clock(), load_again_seconds=load_again_seconds)
    socket = directory / "bgp.sock"
    served = asyncio.create_task(sidecar.serve(socket))
    await until(lambda: served.done() or socket.exists(), "the sidecar to listen")
    one = Agent(socket)
    try:
        yield exabgp, sidecar, one
    finally:
        await one.stop_agent()
        sidecar.stop.set()
        await served
