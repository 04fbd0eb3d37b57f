"""What ExaBGP's output says of peers: plain UPDATEs as they came from the wire, everything else in its JSON.

Sans-IO. Which UPDATEs are plain is decided by bgp/exabgp_launcher/plain_updates.py: their attributes are right, so
nothing is checked here. ExaBGP's own decoder and bgp/exabgp_json.py are what this is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain, repeat, zip_longest

from msgspec.structs import asdict, replace

from bgp import exabgp_json
from bgp.events import AnnouncedPath, SpeakerEvent, UpdateReceived, UpdatesReceived, WithdrawnPath
from bgp.exabgp_launcher.usual_updates import USUAL_ATTRIBUTES
from bgp.speaker import AsPathSegment, Attributes, Origin
from net.prefix import Prefix

UPDATE = b"update "
"""How the line of plain UPDATEs begins that came together: `update PEER PATH_IDS HEX`.

PATH_IDS: the families whose prefixes have path identifiers (RFC 7911), with a comma between two, or `-`. HEX: the
messages, one behind the other, in hexadecimal digits.
"""

COMPARE = b"compare "
"""How the line of one begins that ExaBGP has decoded as well: `compare PEER PATH_IDS HEX JSON`."""

_HEADER_BYTES = 19
_LONGEST_MESSAGE = 2 * 4096  # hexadecimal digits in a log line: all of a message that is not extended (RFC 8654)
_LONGEST_ANSWER = 1000  # characters
_ORIGINS: tuple[Origin, ...] = ("igp", "egp", "incomplete")
_AS_SET = 1
_EXTENDED_LENGTH = 0x10
_MP_REACH, _MP_UNREACH = 14, 15
_NEXT_HOP_AT = 4  # in MP_REACH_NLRI, behind the family and the length of the next hop
_UNSPECIFIED = bytes(16)


def event(line: bytes) -> SpeakerEvent | None:
    """Return what one line of ExaBGP 5 reports of a peer; None for lines of no interest here.

    Raises ValueError, LookupError, TypeError: the line is malformed.
    """
    if line.startswith(COMPARE):
        return compared(line)
    if not line.startswith(UPDATE):
        return exabgp_json.event(line)
    _, peer, path_ids, messages = line.decode("ascii").split(" ")
    families = path_ids.split(",")
    return UpdatesReceived(peer, tuple([received(peer, body, families) for body in _bodies(bytes.fromhex(messages))]))


def one_by_one(line: bytes) -> list[bytes]:
    """Return the lines that say the same a message at a time, where a line has several: each may be malformed.

    What stands behind a message whose length is wrong is the last one.
    """
    *start, written = line.split(b" ")
    if not line.startswith(UPDATE):
        return [line]
    try:
        messages = bytes.fromhex(written.decode("ascii"))
    except ValueError:
        return [line]
    found, begin = [], 0
    while begin < len(messages):
        end = begin + int.from_bytes(messages[begin + 16 : begin + 18])
        if end < begin + _HEADER_BYTES:
            end = len(messages)
        found.append(b" ".join((*start, messages[begin:end].hex().encode())))
        begin = end
    return found


def _bodies(messages: bytes) -> Iterator[bytes]:
    """Yield what of each message stands behind its header. Raises ValueError, IndexError: one is cut."""
    begin = 0
    while begin < len(messages):
        body = begin + _HEADER_BYTES
        end = begin + (messages[begin + 16] << 8 | messages[begin + 17])
        if not body <= end <= len(messages):
            raise ValueError(f"a message of {end - begin} bytes, of {len(messages) - begin}")
        yield messages[body:end]
        begin = end


def compared(line: bytes) -> UpdateReceived:
    """Return what ExaBGP says of a plain UPDATE, and whether `received` says the same.

    Where ExaBGP makes no UPDATE of it, what `received` says counts, as where ExaBGP is not asked. Raises ValueError:
    neither makes one of it.
    """
    _, peer, path_ids, message, written = line.decode().split(" ", 4)
    exabgps = _answer(lambda: exabgp_json.event(written.encode()))
    ours = _answer(lambda: received(peer, bytes.fromhex(message)[_HEADER_BYTES:], path_ids.split(",")))
    match exabgps, ours:
        case UpdateReceived(), UpdateReceived() if exabgps == ours:
            return ours
        case UpdateReceived(), _:
            right, counts = exabgps, "ExaBGP"
        case _, UpdateReceived():
            right, counts = ours, "the sidecar"
        case _:
            raise ValueError(f"ExaBGP makes {exabgps!r} of it, the sidecar {ours!r}")
    one, other = (_cut(text, _LONGEST_ANSWER) for text in _difference(exabgps, ours))
    disagreement = (
        f"decode an UPDATE of {peer}: ExaBGP makes {one} of it, the sidecar {other}; what {counts} says counts; "
        f"path identifiers of {path_ids}, the message: {_cut(message, _LONGEST_MESSAGE)}"
    )
    return replace(right, disagreement=disagreement)


def _answer(decode: Callable[[], SpeakerEvent | None]) -> SpeakerEvent | Exception | None:
    try:
        return decode()
    except (ValueError, LookupError, TypeError) as error:
        return error


def _difference(exabgps: object, ours: object) -> tuple[str, str]:
    """Return two answers that differ in words: of two UPDATEs how many paths, and the first that is not the same."""
    if not (isinstance(exabgps, UpdateReceived) and isinstance(ours, UpdateReceived)):
        return _words(exabgps), _words(ours)
    pairs = chain(zip_longest(exabgps.announced, ours.announced), zip_longest(exabgps.withdrawn, ours.withdrawn))
    one, other = next(((one, other) for one, other in pairs if one != other), (None, None))
    if isinstance(one, AnnouncedPath) and isinstance(other, AnnouncedPath) and one[:2] == other[:2]:
        theirs, mine = asdict(one.attributes), asdict(other.attributes)
        name = next(name for name, value in theirs.items() if value != mine[name])
        prefix = f"of {one.prefix} {name}"
        return f"{_words(exabgps)}, {prefix} {theirs[name]}", f"{_words(ours)}, {prefix} {mine[name]}"
    return f"{_words(exabgps)}, {_path(one)}", f"{_words(ours)}, {_path(other)}"


def _words(answer: object) -> str:
    if not isinstance(answer, UpdateReceived):
        return repr(answer)
    error = f" (error: {answer.error})" if answer.error else ""
    return f"{len(answer.announced)} announced and {len(answer.withdrawn)} withdrawn{error}"


def _path(path: AnnouncedPath | WithdrawnPath | None) -> str:
    return f"of these {path.prefix} with identifier {path.path_id}" if path else "no more"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"


def received(peer: str, body: bytes, path_ids: Collection[str] = ()) -> UpdateReceived:
    """Return what a plain UPDATE says (RFC 4271 §4.3, RFC 4760). Raises IndexError: it is cut.

    path_ids: the families whose prefixes have path identifiers.
    """
    withdrawn_end = 2 + int.from_bytes(body[:2])
    begin = withdrawn_end + 2
    end = begin + int.from_bytes(body[withdrawn_end:begin])
    written, reached, unreached = _without_ipv6(body[begin:end])
    with_ids = "ipv4" in path_ids
    announced: tuple[AnnouncedPath, ...] = ()
    withdrawn: tuple[WithdrawnPath, ...] = ()
    if end < len(body):
        announced = _announced(body[end:], 4, with_ids, _attributes(written))
    if withdrawn_end > 2:
        withdrawn = _withdrawn(body[2:withdrawn_end], 4, with_ids)
    with_ids = "ipv6" in path_ids
    if reached:
        begin = _NEXT_HOP_AT + reached[3] + 1
        attributes = _attributes(written, _next_hop(reached[_NEXT_HOP_AT : begin - 1]))
        announced += _announced(reached[begin:], 16, with_ids, attributes)
    if unreached:
        withdrawn += _withdrawn(unreached[3:], 16, with_ids)
    return UpdateReceived(peer, announced, withdrawn)


def _without_ipv6(attributes: bytes) -> tuple[bytes, bytes, bytes]:
    """Return path attributes without the two that hold prefixes, and the values of these: empty where there is none."""
    if _MP_REACH not in attributes and _MP_UNREACH not in attributes:  # no byte of it is their code
        return attributes, b"", b""
    others, held = b"", {_MP_REACH: b"", _MP_UNREACH: b""}
    position = 0
    for code, value, end in _values(attributes):
        if code in held:
            held[code] = value
        else:
            others += attributes[position:end]
        position = end
    return others, held[_MP_REACH], held[_MP_UNREACH]


def _next_hop(addresses: bytes) -> bytes:
    """Return the global address of an IPv6 next hop, behind which a link-local one may stand (RFC 2545 §3).

    A router without a global address on the link sends `::` in its place.
    """
    return addresses[16:] if len(addresses) > 16 and addresses[:16] == _UNSPECIFIED else addresses[:16]


def _announced(data: bytes, size: int, with_ids: bool, attributes: Attributes) -> tuple[AnnouncedPath, ...]:
    """Return networks with their attributes. size: how many bytes an address has."""
    return tuple(map(AnnouncedPath, *_paths(data, size, with_ids), repeat(attributes)))


def _withdrawn(data: bytes, size: int, with_ids: bool) -> tuple[WithdrawnPath, ...]:
    return tuple(map(WithdrawnPath, *_paths(data, size, with_ids)))


def _paths(data: bytes, size: int, with_ids: bool) -> tuple[list[Prefix], Iterable[int]]:
    """Return networks and their path identifiers, 0 where there are none. size: how many bytes an address has."""
    path_ids: Iterable[int] = repeat(0)
    if with_ids:
        data, path_ids = _without_path_ids(data)
    return _prefixes(data, size), path_ids


def _without_path_ids(data: bytes) -> tuple[bytes, list[int]]:
    """Return networks without the four bytes before each, and the numbers that these are (RFC 7911 §3)."""
    networks, path_ids, position = bytearray(), list[int](), 0
    while position < len(data):
        begin = position + 4
        path_ids.append(int.from_bytes(data[position:begin]))
        position = begin + 1 + (data[begin] + 7 >> 3)
        networks += data[begin:position]
    return bytes(networks), path_ids


def _prefixes(data: bytes, size: int) -> list[Prefix]:
    """Return networks; what is set behind a length does not count."""
    found: list[Prefix] = []
    position = 0
    while position < len(data):
        length = data[position]
        begin = position + 1
        position = begin + (length + 7 >> 3)
        packed = data[begin:position]
        beyond = -length & 7
        if beyond and packed[-1] & ((1 << beyond) - 1):
            packed = packed[:-1] + bytes([packed[-1] >> beyond << beyond])
        found.append(Prefix(packed.ljust(size, b"\0"), length))
    return found


@lru_cache(maxsize=4096)
def _attributes(data: bytes, next_hop: bytes = b"") -> Attributes:
    """Return path attributes; routes of the same bytes share the object. next_hop: that of MP_REACH_NLRI."""
    if not next_hop and (usual := USUAL_ATTRIBUTES.fullmatch(data)):
        return _usual_attributes(*usual.groups())
    values = {code: value for code, value, _ in _values(data)}
    med, preference = values.get(4), values.get(5)
    return Attributes(
        next_hop=next_hop or values[3],
        local_preference=int.from_bytes(preference) if preference is not None else None,
        origin=_ORIGINS[values[1][0]],
        as_path=tuple(_segments(values[2])),
        med=int.from_bytes(med) if med is not None else None,
        communities=_communities(values.get(8, b"")),
        large_communities=_threes(_numbers(values.get(32, b""))),
        originator_id=values.get(9),
        cluster_list=tuple(number.to_bytes(4) for number in _numbers(values.get(10, b""))),
    )


def _usual_attributes(
    origin: bytes, path: bytes, next_hop: bytes, med: bytes | None, preference: bytes | None, communities: bytes | None
) -> Attributes:
    """Return the attributes that these values are; path and communities have their length in front, one byte."""
    return Attributes(
        next_hop,
        int.from_bytes(preference) if preference is not None else None,
        _ORIGINS[origin[0]],
        (AsPathSegment("sequence", _numbers(path[3:])),) if len(path) > 1 else (),
        int.from_bytes(med) if med is not None else None,
        _communities(communities[1:]) if communities is not None else (),
    )


def _communities(data: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((pair >> 16, pair & 0xFFFF) for pair in sorted(_numbers(data)))


def _values(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield code and value of each path attribute, and where it ends."""
    position = 0
    while position < len(data):
        begin = position + (4 if data[position] & _EXTENDED_LENGTH else 3)
        end = begin + int.from_bytes(data[position + 2 : begin])
        yield data[position + 1], data[begin:end], end
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
