"""The far end of BGP sessions: many plain speakers in one process, the same for ours and for the peer's.

`python -m bench.far_peers NODE dial|listen COUNT ROUTES [single]`: each of COUNT speakers has an address of its own and
keeps a session with NODE. Standard output gets a line `up SECONDS` when all sessions are up, by the machine's monotonic
clock. At a line of standard input all of them announce ROUTES networks of their own, from then on also in each new
session: many to an UPDATE, or with `single` each in its own, with a MED of its own, so that no two go together.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from collections.abc import Iterator, Sequence

from bench.hosts import peer_addresses
from datastore.defaults import DEFAULT_AS_NUMBER
from net.prefix import pack

_OPEN, _UPDATE, _KEEPALIVE = 1, 2, 4
_HOLD_SECONDS, _RETRY_SECONDS = 90, 0.05
_CAPABILITIES = bytes([1, 4, 0, 1, 0, 1, 65, 4]) + DEFAULT_AS_NUMBER.to_bytes(4)
_LENGTH, _IN_ONE_UPDATE = 26, 700  # of 5 bytes each: an UPDATE has 4,096 at most


def message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def update(next_hop: str, med: int, networks: bytes) -> bytes:
    """Return an UPDATE of IPv4 networks from within the AS: ORIGIN, an empty AS_PATH, NEXT_HOP, MED, LOCAL_PREF."""
    attributes = b"\x40\x01\x01\x00" + b"\x40\x02\x00" + b"\x40\x03\x04" + pack(next_hop)
    attributes += b"\x80\x04\x04" + med.to_bytes(4) + b"\x40\x05\x04" + (100).to_bytes(4)
    return message(_UPDATE, struct.pack("!HH", 0, len(attributes)) + attributes + networks)


def announcements(number: int, address: str, routes: int, *, single: bool) -> Iterator[bytes]:
    """Yield the UPDATEs of one speaker, whose networks no other speaker has."""
    first = number * routes
    blocks = [bytes([_LENGTH]) + ((10 << 24) + ((first + n) << 6)).to_bytes(4) for n in range(routes)]
    size = 1 if single else _IN_ONE_UPDATE
    for start in range(0, routes, size):
        yield update(address, start if single else 0, b"".join(blocks[start : start + size]))


class FarPeers:
    """All speakers. up_at: when the last of the sessions came up."""

    def __init__(self, node: str, count: int, routes: int, *, single: bool) -> None:
        self._node, self._addresses = node, peer_addresses(count)
        self._announced = {
            address: b"".join(announcements(number, address, routes, single=single))
            for number, address in enumerate(self._addresses)
        }
        self._sessions: dict[str, asyncio.StreamWriter] = {}
        self._told = False
        self._listens = asyncio.Event()

    async def listen(self) -> None:
        await asyncio.start_server(self._accept, "0.0.0.0", 179, backlog=1024)

    async def dial(self) -> None:
        await asyncio.gather(*map(self._dial, self._addresses))

    def announce(self) -> None:
        self._told = True
        for address, writer in self._sessions.items():
            writer.write(self._announced[address])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._speak(writer.get_extra_info("sockname")[0], reader, writer)

    async def _dial(self, address: str) -> None:
        """Dial for as long as this process lives. One finds out when the node listens: many would keep it busy."""
        if address != self._addresses[0]:
            await self._listens.wait()
        while True:
            try:
                reader, writer = await asyncio.open_connection(self._node, 179, local_addr=(address, 0))
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._listens.set()
            await self._speak(address, reader, writer)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _speak(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Have one session for as long as it lives; End-of-RIB follows at once."""
        options = bytes([2, len(_CAPABILITIES)]) + _CAPABILITIES
        opening = struct.pack("!BHH", 4, DEFAULT_AS_NUMBER, _HOLD_SECONDS) + pack(address) + bytes([len(options)])
        writer.write(message(_OPEN, opening + options) + message(_KEEPALIVE))
        alive = asyncio.create_task(_keep_alive(writer))
        try:
            while True:
                header = await reader.readexactly(19)
                await reader.readexactly(int.from_bytes(header[16:18]) - 19)
                if header[18] == _KEEPALIVE and address not in self._sessions:
                    writer.write((self._announced[address] if self._told else b"") + message(_UPDATE, bytes(4)))
                    self._sessions[address] = writer
                    if len(self._sessions) == len(self._addresses):
                        print(f"up {time.monotonic()}", flush=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            alive.cancel()
            writer.close()
            if self._sessions.get(address) is writer:
                del self._sessions[address]


async def _keep_alive(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(_HOLD_SECONDS / 3)
        writer.write(message(_KEEPALIVE))


async def run(arguments: Sequence[str]) -> None:
    node, direction, count, routes, *rest = arguments
    peers = FarPeers(node, int(count), int(routes), single=rest == ["single"])
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    if direction == "listen":
        await peers.listen()
    print("ready", flush=True)
    dialling = asyncio.create_task(peers.dial()) if direction == "dial" else None
    while await orders.readline():
        peers.announce()
    if dialling:
        dialling.cancel()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1:]))
