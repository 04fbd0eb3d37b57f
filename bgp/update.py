"""What ExaBGP's output says of peers: plain UPDATEs as they came from the wire, everything else in its JSON.

Sans-IO. Which UPDATEs are plain is decided by bgp/exabgp_launcher/plain_updates.py: their attributes are right, so
nothing is checked here. ExaBGP's own decoder and bgp/exabgp_json.py are what this is tested against.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from bgp import exabgp_json
from bgp.events import AnnouncedPath, SpeakerEvent, UpdateReceived, WithdrawnPath
from bgp.speaker import AsPathSegment, Attributes, Origin
from net.prefix import Prefix

UPDATE = b"update "
"""How the line of a plain UPDATE begins: `update PEER HEX`, the message's body in hexadecimal digits."""

_ORIGINS: tuple[Origin, ...] = ("igp", "egp", "incomplete")
_AS_SET = 1
_EXTENDED_LENGTH = 0x10


def event(line: bytes) -> SpeakerEvent | None:
    """Return what one line of ExaBGP 5 reports of a peer; None for lines of no interest here.

    Raises ValueError, LookupError, TypeError: the line is malformed.
    """
    if not line.startswith(UPDATE):
        return exabgp_json.event(line)
    _, peer, body = line.decode("ascii").split(" ")
    return received(peer, bytes.fromhex(body))


def received(peer: str, body: bytes) -> UpdateReceived:
    """Return what a plain UPDATE says (RFC 4271 §4.3). Raises IndexError: it is cut."""
    withdrawn_end = 2 + int.from_bytes(body[:2])
    begin = withdrawn_end + 2
    end = begin + int.from_bytes(body[withdrawn_end:begin])
    announced: tuple[AnnouncedPath, ...] = ()
    if end < len(body):
        attributes = _attributes(body[begin:end])
        announced = tuple(AnnouncedPath(prefix, 0, attributes) for prefix in _prefixes(body[end:]))
    withdrawn = tuple(WithdrawnPath(prefix, 0) for prefix in _prefixes(body[2:withdrawn_end]))
    return UpdateReceived(peer, announced, withdrawn)


def _prefixes(data: bytes) -> list[Prefix]:
    """Return IPv4 networks; what is set behind a length does not count."""
    found, position = list[Prefix](), 0
    while position < len(data):
        length = data[position]
        begin = position + 1
        position = begin + (length + 7 >> 3)
        packed = data[begin:position]
        beyond = -length & 7
        if beyond and packed[-1] & ((1 << beyond) - 1):
            packed = packed[:-1] + bytes([packed[-1] >> beyond << beyond])
        found.append(Prefix(packed.ljust(4, b"\0"), length))
    return found


@lru_cache(maxsize=4096)
def _attributes(data: bytes) -> Attributes:
    """Return path attributes; routes of the same bytes share the object."""
    values = dict(_values(data))
    med, preference = values.get(4), values.get(5)
    return Attributes(
        next_hop=values[3],
        local_preference=int.from_bytes(preference) if preference is not None else None,
        origin=_ORIGINS[values[1][0]],
        as_path=tuple(_segments(values[2])),
        med=int.from_bytes(med) if med is not None else None,
        communities=tuple((pair >> 16, pair & 0xFFFF) for pair in sorted(_numbers(values.get(8, b"")))),
        large_communities=_threes(_numbers(values.get(32, b""))),
        originator_id=values.get(9),
        cluster_list=tuple(number.to_bytes(4) for number in _numbers(values.get(10, b""))),
    )


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of each path attribute."""
    position = 0
    while position < len(data):
        begin = position + (4 if data[position] & _EXTENDED_LENGTH else 3)
        end = begin + int.from_bytes(data[position + 2 : begin])
        yield data[position + 1], data[begin:end]
        position = end


def _segments(path: bytes) -> Iterator[AsPathSegment]:
    position = 0
    while position < len(path):
        begin, end = position + 2, position + 2 + 4 * path[position + 1]
        kind = path[position]
        yield AsPathSegment("set" if kind == _AS_SET else "sequence", _numbers(path[begin:end]))
        position = end


def _numbers(data: bytes) -> tuple[int, ...]:
    """Return the numbers of four bytes each."""
    return tuple(int.from_bytes(data[start : start + 4]) for start in range(0, len(data), 4))


def _threes(numbers: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return large communities, each once (RFC 8092 §5)."""
    return tuple(sorted(set(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))))
