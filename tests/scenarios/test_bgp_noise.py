"""Bytes that are no BGP, or that lie about their length, sent to the port that ExaBGP reads.

raw peers 10.9.0.2, which sends them, and 10.9.0.3, whose session stays ──► ExaBGP 10.9.0.1   (one loopback device)

What is wrong inside an UPDATE is for test_bgp_malformed_updates.py.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bgp.events import PeerConnected, PeerDown, PeerOpen, PeerUp, SpeakerEvent, SpeakerStarted, UpdateReceived
from tests.bgp.exabgp_nodes import AS, PATIENCE, address, gone, node, peer, speaker
from tests.bgp.network import own_network
from tests.bgp.raw_peer import (
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    UPDATE,
    WELL_KNOWN,
    attribute,
    message,
    networks,
    opening,
    raw_peer,
    update,
)

MANDATORY = attribute(WELL_KNOWN, 1, b"\0") + attribute(WELL_KNOWN, 2, b"") + attribute(WELL_KNOWN, 3, b"\12\11\0\2")
SHUTDOWN, OTHERS_LINE = b"\6\2", b'"}\n{"exabgp": "5.0.0", "type": "update"}\n\x1b[2J\xff'


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def header(length: int, kind: int, marker: bytes = b"\xff" * 16) -> bytes:
    return marker + struct.pack("!HB", length, kind)


def noise(seed: int, length: int = 10_000) -> bytes:
    return random.Random(seed).randbytes(length)


IN_A_SESSION = {
    "a kind of message that there is not": message(9, b""),
    "kind 0": message(0, b""),
    "a second OPEN": opening(address(2), AS),
    "a second OPEN of another AS": opening(address(2), AS + 1),
    "a length of 20,000": header(20_000, UPDATE) + bytes(20_000),
    "a length of 0": header(0, UPDATE),
    "a length that is less than the header's": header(18, KEEPALIVE),
    "a KEEPALIVE with a body": message(KEEPALIVE, b"\0"),
    "another marker": header(19, KEEPALIVE, bytes(16)),
    "an UPDATE without a body": message(UPDATE, b""),
    "a NOTIFICATION without a code": message(NOTIFICATION, b""),
    "a NOTIFICATION with a line of ExaBGP's own in it": message(
        NOTIFICATION, SHUTDOWN + bytes([len(OTHERS_LINE)]) + OTHERS_LINE
    ),
    "one that says its text is longer": message(NOTIFICATION, SHUTDOWN + b"\xff" + OTHERS_LINE),
    **{f"noise {seed}": noise(seed) for seed in range(3)},
    "noise behind a good header": header(4000, UPDATE) + noise(7, 3981),
}
ANSWERED = {
    "a kind of message that there is not": "notification sent (1,3)",
    "kind 0": "notification sent (1,3)",
    "a second OPEN": "notification sent (5,3)",
    "a second OPEN of another AS": "notification sent (5,3)",
}
INSTEAD_OF_ONE = {
    "nothing": b"",
    "noise": noise(8),
    "an OPEN that is cut short": opening(address(2), AS)[:25],
    "an OPEN that says it has more": header(4096, OPEN) + noise(9, 100),
    "an OPEN of noise": message(OPEN, noise(10, 60)),
    "an UPDATE before any OPEN": update(MANDATORY, networks("10.65.2.0/26")),
    "HTTP": b"GET / HTTP/1.1\r\nHost: 10.9.0.1\r\n\r\n",
}


async def test_who_sends_no_bgp_loses_the_session_and_nobody_else_does(tmp_path: Path) -> None:
    reported: dict[str, set[type[SpeakerEvent]]] = {}
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2, 3))
        await one.wait_for(SpeakerStarted())
        async with peer(3, of=1):
            await one.wait_for(PeerUp(address(3)))
            for name, sent in IN_A_SESSION.items():
                before = len(one.events)
                async with raw_peer(address(2), address(1), AS) as writer:
                    await one.wait_for(PeerUp(address(2)), after=before)
                    writer.write(sent)
                    await one.wait_for(gone(2), after=before)
                reported[name] = {type(event) for event in one.events[before:]}
                [reason] = [event.reason for event in one.events[before:] if isinstance(event, PeerDown)]
                for answer in {*ANSWERED.values()}:
                    assert (answer in reason) == (ANSWERED.get(name) == answer), (name, reason)
            for sent in INSTEAD_OF_ONE.values():
                for source in (2, 4):  # of the latter nobody knows
                    reader, writer = await asyncio.open_connection(address(1), 179, local_addr=(address(source), 0))
                    writer.write(sent)
                    async with asyncio.timeout(PATIENCE):
                        with suppress(OSError):  # it is closed by now
                            writer.write_eof()
                            await reader.read()
                    writer.close()
            assert one.is_up(3)
            before = len(one.events)
            async with raw_peer(address(2), address(1), AS) as writer:
                await one.wait_for(PeerUp(address(2)), after=before)
                writer.write(update(MANDATORY, networks("10.65.2.0/26")))
                await one.wait_for(lambda event: isinstance(event, UpdateReceived), after=before)
            assert [str(prefix) for prefix in one.routes(2)] == ["10.65.2.0/26"]
            assert one.is_up(3)
    assert reported == {name: {PeerConnected, PeerOpen, PeerUp, PeerDown} for name in IN_A_SESSION}
