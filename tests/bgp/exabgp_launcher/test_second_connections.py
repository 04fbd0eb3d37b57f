"""A peer that connects a second time: which connection stays, and what the other one is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bgp.events import PeerDown, PeerUp, SpeakerStarted
from bgp.exabgp_launcher.second_connections import COLLISION_SECONDS, RESTARTED, has_restarted
from bgp.notification import is_silent
from tests.bgp.exabgp_nodes import AS, PATIENCE, ExaBGPNode, address, node, speaker
from tests.bgp.raw_peer import (
    CAPABILITIES,
    GRACEFUL_RESTART,
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    message,
    opening,
    raw_peer,
)

COLLIDED = (NOTIFICATION, b"\6\7")  # RFC 4486 §4
LOWER, HIGHER = "10.0.0.1", "10.99.0.1"  # BGP identifiers, beside 10.9.0.1 of ours


class Dialled:
    """One TCP connection of the peer, on which nothing is sent by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, text: bytes) -> None:
        self._writer.write(text)

    async def receive(self) -> tuple[int, bytes]:
        """Return the next message's type, and the first two bytes of what it holds."""
        header = await self._reader.readexactly(19)
        body = await self._reader.readexactly(int.from_bytes(header[16:18]) - 19)
        return header[18], body[:2]

    async def types(self, count: int) -> list[int]:
        return [(await self.receive())[0] for _ in range(count)]

    async def ended(self) -> bool:
        return await self._reader.read() == b""


@contextlib.asynccontextmanager
async def dialled() -> AsyncIterator[Dialled]:
    reader, writer = await asyncio.open_connection(address(1), 179, local_addr=(address(2), 0))
    try:
        yield Dialled(reader, writer)
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def waiting(directory: Path) -> AsyncIterator[ExaBGPNode]:
    """A node that waits to be dialled by the peer."""
    async with node(directory) as one, asyncio.timeout(PATIENCE):
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        yield one


async def test_one_that_loses_in_open_confirm_is_told_so(tmp_path: Path, network: None) -> None:
    async with waiting(tmp_path) as one, dialled() as first:
        first.send(opening(HIGHER, AS))
        assert await first.types(2) == [OPEN, KEEPALIVE]
        async with dialled() as second:
            second.send(opening(HIGHER, AS) + message(KEEPALIVE, b""))
            assert await first.receive() == COLLIDED
            assert await first.ended()
            assert await second.types(2) == [OPEN, KEEPALIVE]
            await one.wait_for(PeerUp(address(2)))


async def test_one_that_loses_in_open_sent_is_told_so(tmp_path: Path, network: None) -> None:
    async with waiting(tmp_path) as one, dialled() as first:
        assert await first.types(1) == [OPEN]
        async with dialled() as second:
            second.send(opening(HIGHER, AS) + message(KEEPALIVE, b""))
            assert await first.receive() == COLLIDED
            assert await first.ended()
            await one.wait_for(PeerUp(address(2)))


async def test_the_first_one_stays_and_the_second_is_told_where_our_identifier_is_higher(
    tmp_path: Path, network: None
) -> None:
    async with waiting(tmp_path) as one, dialled() as first:
        first.send(opening(LOWER, AS))
        assert await first.types(2) == [OPEN, KEEPALIVE]
        async with dialled() as second:
            assert await second.receive() == COLLIDED
            assert await second.ended()
            first.send(message(KEEPALIVE, b""))
            await one.wait_for(PeerUp(address(2)))


async def test_a_peer_that_restarts_gracefully_is_let_in_while_its_old_session_is_up(
    tmp_path: Path, network: None
) -> None:
    async with waiting(tmp_path) as one, raw_peer(address(2), address(1), AS, CAPABILITIES + GRACEFUL_RESTART):
        up = await one.wait_for(PeerUp(address(2)))
        while True:  # the session is new, so at first this is a collision
            async with dialled() as again:
                again.send(opening(HIGHER, AS, CAPABILITIES + GRACEFUL_RESTART) + message(KEEPALIVE, b""))
                if await again.receive() != COLLIDED:
                    down = await one.wait_for(PeerDown(address(2), RESTARTED), after=up)
                    await one.wait_for(PeerUp(address(2)), after=down)
                    return


def test_the_end_of_its_old_session_counts_as_a_silent_one() -> None:
    assert is_silent(RESTARTED)


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({}, True),
        ({"capabilities": {}}, False),
        ({"capabilities": {64: {}}}, False),
        ({"up_for": COLLISION_SECONDS / 2}, False),
        ({"established": False}, False),
        ({"stopping": True}, False),
        ({"teardown": 3}, False),
    ],
)
def test_a_second_connection_says_that_a_peer_has_restarted_where_it_restarts_gracefully(
    change: dict[str, Any], restarted: bool
) -> None:
    fact = {
        "capabilities": {64: {("ipv4", "unicast"): 0x80}},
        "up_for": COLLISION_SECONDS,
        "established": True,
        "stopping": False,
        "teardown": None,
        **change,
    }
    received = SimpleNamespace(received_open=SimpleNamespace(capabilities=fact["capabilities"]))
    peer = SimpleNamespace(
        established=lambda: fact["established"],
        stopping=lambda: fact["stopping"],
        _teardown=fact["teardown"],
        proto=SimpleNamespace(negotiated=received, felix_up_at=100.0 - fact["up_for"]),
    )
    assert has_restarted(peer, 100.0) is restarted
