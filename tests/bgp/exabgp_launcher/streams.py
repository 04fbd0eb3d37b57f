"""What is heard of streams of messages that are cut anyhow: as ExaBGP hears them, and in runs.

`python -m tests.bgp.exabgp_launcher.streams`: a Python of its own, as ExaBGP is patched. It fails where both differ.
"""

from __future__ import annotations

import errno
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from bgp.exabgp_launcher.handing_on import PlainUpdates, read_runs
from bgp.exabgp_launcher.replacements import patch
from tests.bgp.raw_peer import (
    BOTH,
    KEEPALIVE,
    NOTIFICATION,
    OPTIONAL,
    UPDATE,
    WELL_KNOWN,
    attribute,
    message,
    networks,
    update,
)

REFRESH, UNKNOWN = 5, 9
MARKER = b"\xff" * 16
ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"\2\1\0\0\xfd\xe9")
MANDATORY = ORIGIN + AS_PATH + attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))
IPV6 = attribute(OPTIONAL, 14, b"\0\2\1\x10\x20\1" + bytes(14) + b"\0" + networks("fd00:65::/122"))
ONE, TWO = (update(MANDATORY, networks(prefix)) for prefix in ("10.65.1.0/26", "10.65.2.0/24"))
PLAIN = (ONE, TWO, update(IPV6 + MANDATORY), update(withdrawn=networks("10.65.1.0/26")))
OTHERS = (
    update(),
    update(MANDATORY),
    update(MANDATORY + attribute(BOTH, 99, b"\1"), networks("10.65.3.0/26")),
    update(attribute(WELL_KNOWN, 1, b"\3") + MANDATORY, networks("10.65.4.0/26")),
    message(KEEPALIVE, b""),
    message(REFRESH, b"\0\1\0\1"),
)
ENDS = (
    message(NOTIFICATION, b"\6\2"),
    message(UNKNOWN, b""),
    message(KEEPALIVE, b"\0"),
    message(UPDATE, b"\0\5\0\0"),
    update(b"\x40\1\2\0"),
    b"\0" + ONE[1:],
    MARKER + b"\0\x12\2",
    MARKER + b"\0\x16\2\0\0\0",
    MARKER + b"\x10\1\2",
    ONE[:-1],
    ONE[:17],
    b"",
)
STREAMS, MESSAGES = 400, 30
PIECES = (1, 7, 19, 60, 300, 5000)

ReadMessage = Callable[[Any], Iterator[Any]]


class Heard(NamedTuple):
    """Kind and body of each message, how many of each kind were counted, and what ended them."""

    messages: list[tuple[int, bytes]]
    counted: dict[str, int]
    end: tuple[str, int, int, str]


class Socket:
    """What a peer sends, in pieces; None: nothing for now. Behind the last one it has ended."""

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self._pieces = list(pieces)

    def recv(self, _: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece is None:
            raise OSError(errno.EAGAIN, "later")
        return piece

    def close(self) -> None:
        pass


class Neighbour(defaultdict[str, Any]):
    uid = 1

    def __init__(self) -> None:
        super().__init__(bool)
        self.api = defaultdict(bool, {"receive-parsed": True, "receive-update": True})


def heard(read_message: ReadMessage, pieces: Sequence[bytes | None]) -> Heard:
    from exabgp.bgp.message import Message
    from exabgp.bgp.message.notification import Notification, Notify
    from exabgp.reactor.network.error import LostConnection

    found: list[tuple[int, bytes]] = []

    def report(kind: int, neighbor: Any, direction: str, updates: Any, *more: Any) -> None:
        left = updates.messages if isinstance(updates, PlainUpdates) else b""
        while left:
            length = int.from_bytes(left[16:18])
            found.append((UPDATE, left[19:length]))
            left = left[length:]

    def unpack(kind: int, body: bytes, direction: int, negotiated: Any) -> Any:
        found.append((int(kind), bytes(body)))
        return decode(kind, body, direction, negotiated)

    protocol = session(Socket(pieces), report)
    decode, Message.unpack = Message.unpack, unpack
    try:
        read_all(read_message, protocol)
    except (Notify, Notification) as end:
        why = type(end).__name__, int(end.code), int(end.subcode), str(end)
    except LostConnection as end:
        why = type(end).__name__, 0, 0, str(end)
    finally:
        Message.unpack = decode
    return Heard(found, dict(protocol.peer.stats), why)


def read_all(read_message: ReadMessage, protocol: Any) -> None:
    """Read as a session that is up does, which goes on only behind a message."""
    from exabgp.bgp.message import NOP

    while True:
        for each in read_message(protocol):
            if each.TYPE != NOP.TYPE:
                break


def session(io: Socket, report: Callable[..., None]) -> Any:
    """Return what of a session that is up a reader of messages looks at."""
    from exabgp.reactor.network.incoming import Incoming

    neighbor = Neighbour()
    peer = SimpleNamespace(
        neighbor=neighbor,
        stats=defaultdict(int),
        established=lambda: True,
        reactor=SimpleNamespace(processes=SimpleNamespace(message=report)),
    )
    connection = Incoming.__new__(Incoming)
    connection.__dict__.update(io=io, msg_size=4096, defensive=False, id=1, peer="192.0.2.2", local="192.0.2.1")
    connection.reading = lambda: True
    negotiated = SimpleNamespace(
        local_as=64512,
        peer_as=64512,
        asn4=True,
        families=[(1, 1), (2, 1)],
        nexthop=[],
        neighbor=neighbor,
        addpath=SimpleNamespace(receive=lambda afi, safi: False),
        cached_attributes=None,
        cached_wire=b"",
        aigp=False,
    )
    return SimpleNamespace(peer=peer, neighbor=neighbor, negotiated=negotiated, connection=connection, log_routes=False)


def cut(stream: bytes, chance: random.Random) -> Iterator[bytes | None]:
    while stream:
        size = chance.choice(PIECES)
        yield stream[:size]
        yield from [None] * chance.randint(0, 1)
        stream = stream[size:]


def main() -> int:
    from exabgp.bgp.message import Message  # noqa: F401  (its import order matters to ExaBGP)
    from exabgp.environment import getenv
    from exabgp.logger import log
    from exabgp.reactor.protocol import Protocol

    released = Protocol.read_message
    patch(0, 1)
    log.init(getenv())
    in_runs, chance = read_runs(released), random.Random(4271)
    updates = 0
    for _ in range(STREAMS):
        sent = chance.choices((*3 * PLAIN, *OTHERS), k=chance.randint(0, MESSAGES))
        pieces = list(cut(b"".join(sent) + chance.choice(ENDS), chance))
        theirs, ours = heard(released, pieces), heard(in_runs, pieces)
        if theirs != ours:
            print(f"{pieces}:\n{theirs}\n{ours}", file=sys.stderr)
            return 1
        updates += theirs.counted.get("receive-update", 0)
    print(f"{updates} UPDATEs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
