"""Supervised ExaBGPs with real sessions on one loopback device (tests/bgp/network.py has the drawing)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from msgspec.structs import replace

from bgp.events import (
    PeerDown,
    PeerUp,
    SpeakerEvent,
    SpeakerStarted,
    SpeakerStopped,
    UpdateReceived,
    UpdatesReceived,
)
from bgp.exabgp_supervisor import ExaBGP
from bgp.speaker import Attributes, LocalNode, Neighbour, Speaker
from net.prefix import Prefix, pack
from tests.bgp.raw_peer import WELL_KNOWN, attribute, raw_peer
from tests.bgp.raw_peer import update as raw_update

AS = 64512


PATIENCE = 30.0


BLOCK = Prefix.parse("10.65.1.0/26")


BLOCK6 = Prefix.parse("fd00:65::/122")


OURS = {BLOCK: Attributes(pack("10.9.0.1")), BLOCK6: Attributes(pack("fd09::1"))}


def address(number: int) -> str:
    return f"10.9.0.{number}"


def session(own: int, peer: int) -> Neighbour:
    """Return the mesh session of two nodes: the one with the lower number waits to be dialled."""
    return Neighbour(address(peer), address(own), peer_as=AS, local_as=AS, passive=own < peer)


def speaker(own: int, *peers: int) -> Speaker:
    return Speaker(
        f"n{own}",
        router_id=pack(address(own)),
        listen=(address(own),),
        port=179,
        neighbours=tuple(session(own, peer) for peer in peers if peer != own),
        local=LocalNode(AS, pack(address(own))),
    )


def with_neighbour(of: Speaker, **changes: object) -> Speaker:
    return replace(of, neighbours=tuple(replace(each, **changes) for each in of.neighbours))


class ExaBGPNode:
    """An ExaBGP and everything it reported, in order, each UPDATE by itself."""

    def __init__(self, exabgp: ExaBGP) -> None:
        self.exabgp = exabgp
        self.events: list[SpeakerEvent] = []
        self._changed = asyncio.Event()

    async def read_events(self) -> None:
        async for event in self.exabgp.events():
            self.events.extend(event.updates if isinstance(event, UpdatesReceived) else (event,))
            self._changed.set()

    async def wait_for(self, wanted: Callable[[SpeakerEvent], bool] | SpeakerEvent, *, after: int = 0) -> int:
        """Wait for an event at or behind position `after`; return the position behind it."""
        matches = wanted if callable(wanted) else lambda event: event == wanted
        async with asyncio.timeout(PATIENCE):
            while True:
                for position in range(after, len(self.events)):
                    if matches(self.events[position]):
                        return position + 1
                self._changed.clear()
                await self._changed.wait()

    async def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds that depends on the events."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def is_up(self, peer: int) -> bool:
        """True if the session is up by its last event."""
        for event in reversed(self.events):
            match event:
                case SpeakerStarted() | SpeakerStopped():
                    return False
                case PeerUp(peer=other) | PeerDown(peer=other) if other == address(peer):
                    return isinstance(event, PeerUp)
        return False

    def routes(self, peer: int | str) -> dict[Prefix, Attributes]:
        """Return what a node, by number or address, has announced to this one."""
        held: dict[Prefix, Attributes] = {}
        sender = peer if isinstance(peer, str) else address(peer)
        for event in self.events:
            match event:
                case PeerDown(peer=other) if other == sender:
                    held.clear()
                case UpdateReceived(peer=other) if other == sender:
                    for gone in event.withdrawn:
                        held.pop(gone.prefix, None)
                    held.update((route.prefix, route.attributes) for route in event.announced)
        return held


@contextlib.asynccontextmanager
async def node(directory: Path, **options: object) -> AsyncIterator[ExaBGPNode]:
    async with ExaBGP(directory, **options) as exabgp:  # type: ignore[arg-type]
        one = ExaBGPNode(exabgp)
        listening = asyncio.create_task(one.read_events())
        try:
            yield one
        finally:
            listening.cancel()


@contextlib.asynccontextmanager
async def mesh(directory: Path, *numbers: int, **options: object) -> AsyncIterator[list[ExaBGPNode]]:
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(directory / str(own), **options)) for own in numbers]
        for own, one in zip(numbers, nodes, strict=True):
            await one.exabgp.reload(speaker(own, *(peer for peer in numbers if peer != own)))
        for own, one in zip(numbers, nodes, strict=True):
            for peer in numbers:
                if peer != own:
                    await one.wait_for(PeerUp(address(peer)))
        yield nodes


def gone(number: int) -> Callable[[SpeakerEvent], bool]:
    return lambda event: isinstance(event, PeerDown) and event.peer == address(number)


def peer(number: int, of: int) -> contextlib.AbstractAsyncContextManager[asyncio.StreamWriter]:
    """Dial as the plainest BGP speaker there is, and bring the session up."""
    return raw_peer(address(number), address(of), AS)


def update(number: int) -> bytes:
    """Return an UPDATE that announces one prefix, another for each number."""
    mandatory = (attribute(WELL_KNOWN, code, value) for code, value in ((1, b"\0"), (2, b""), (3, pack(address(2)))))
    return raw_update(b"".join(mandatory), bytes([24, 20, number >> 8, number & 255]))
