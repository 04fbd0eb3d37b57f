"""How plain UPDATEs reach the sidecar: as they came, all that came together in one piece."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from bgp.exabgp_launcher.plain_updates import Session, is_plain
from bgp.exabgp_launcher.reading import receiver, take, unread_of
from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement

MARKER, HEADER_BYTES = b"\xff" * 16, 19
UPDATE, LEAST_BYTES = 2, 23  # RFC 4271 §4.3
# No run lasts longer than a message of many networks: commands and other peers wait for its end.
RUN_MESSAGES, RUN_BYTES = 64, 8192
UNPACK_PARAMETERS = ("data", "direction", "negotiated")
JSON_PARAMETERS = ("self", "neighbor", "direction", "update", "negotiated", "header", "body")


def replacements(*, compare: bool) -> list[Replacement]:
    """compare: whether ExaBGP decodes plain UPDATEs as well, each by itself, so that the sidecar can compare."""
    from exabgp.bgp.message.update import Update
    from exabgp.reactor.api.response.json import JSON
    from exabgp.reactor.protocol import Protocol

    kept = ReplacedFunction(Update, "unpack_message", UNPACK_PARAMETERS, keep_plain(Update.unpack_message))
    read = ReplacedFunction(Protocol, "read_message", ("self",), read_runs(Protocol.read_message))
    written = ReplacedFunction(JSON, "update", JSON_PARAMETERS, hand_on_plain(JSON.update))
    return [kept if compare else read, written]


class PlainUpdates:
    """UPDATEs that are handed on as they came, in place of an object of ExaBGP's. messages: one behind the other."""

    ID = 2
    TYPE = bytes([ID])
    EOR = False
    nlris: tuple[()] = ()
    attributes: tuple[()] = ()

    def __init__(self, messages: bytes, path_ids: Collection[str]) -> None:
        self.messages = messages
        self.path_ids = path_ids


class Run(NamedTuple):
    """How many plain UPDATEs there are at a beginning, and where they end."""

    updates: int
    end: int


def plain_run(data: bytes, session: Session, longest: int) -> Run:
    """Return what of these bytes, of which a message begins, are plain UPDATEs. longest: bytes of a message."""
    count, end = 0, 0
    while count < RUN_MESSAGES and data[end + 18 : end + HEADER_BYTES] == PlainUpdates.TYPE:
        length = length_at(data, end)
        after = end + length
        if not LEAST_BYTES <= length <= longest or after > len(data) or not data.startswith(MARKER, end):
            break
        if not is_plain(data[end + HEADER_BYTES : after], session):
            break
        count, end = count + 1, after
    return Run(count, end)


def is_part_of_update(unread: bytearray, longest: int) -> bool:
    """Whether what was read may be the first part of an UPDATE, or of its header."""
    if len(unread) < HEADER_BYTES:
        return True
    length = length_at(unread)
    right = unread[18] == UPDATE and LEAST_BYTES <= length <= longest and unread.startswith(MARKER)
    return right and len(unread) < length


def length_at(data: bytes | bytearray, begin: int = 0) -> int:
    """Return the length that a message says it has, header included."""
    return data[begin + 16] << 8 | data[begin + 17]


def read_runs(released: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Return Protocol.read_message that takes plain UPDATEs that came together for one message.

    As released each makes its way through seven coroutines and through objects of ExaBGP's: most of the time that a
    flood of updates lasts. All other messages, and whatever is wrong with one, are ExaBGP's as before.
    """
    from exabgp.bgp.message import _NOP

    receive = receiver()

    def read_message(protocol: Any) -> Iterator[Any]:
        if not protocol.peer.established() or not protocol.negotiated.asn4:
            yield from released(protocol)
            return
        session = session_of(protocol.negotiated)
        connection = protocol.connection
        unread, longest = unread_of(connection), connection.msg_size
        while True:
            if len(unread) >= HEADER_BYTES:
                run = plain_run(bytes(unread[: max(RUN_BYTES, length_at(unread))]), session, longest)
                if run.updates:
                    updates = PlainUpdates(take(connection, run.end), session.path_ids)
                    yield hand_on(protocol, updates, run.updates)
                    return
            if not is_part_of_update(unread, longest):
                break
            more = receive(connection)
            if more is None:
                yield _NOP
            elif more:
                unread += more
            else:
                break
        yield from released(protocol)

    return read_message


def session_of(negotiated: Any) -> Session:
    """Return what was negotiated in both OPENs."""
    from exabgp.protocol.family import AFI, SAFI

    known: Session | None = getattr(negotiated, "felix_session", None)
    if known is not None:
        return known
    families = {"ipv4": AFI.ipv4, "ipv6": AFI.ipv6}
    session = negotiated.felix_session = Session(
        external=negotiated.local_as != negotiated.peer_as,
        ipv6=(AFI.ipv6, SAFI.unicast) in negotiated.families,
        path_ids=tuple(name for name, afi in families.items() if negotiated.addpath.receive(afi, SAFI.unicast)),
    )
    return session


def hand_on(protocol: Any, updates: PlainUpdates, count: int) -> PlainUpdates:
    """Do what Protocol.read_message does with an UPDATE that it has decoded."""
    peer, api = protocol.peer, protocol.neighbor.api
    peer.stats["receive-update"] += count
    if api.get("receive-update", False) and api["receive-parsed"]:
        peer.reactor.processes.message(updates.ID, peer.neighbor, "receive", updates, None, b"", b"")
    return updates


def keep_plain(released: Callable[..., Any]) -> Any:
    """Return Update.unpack_message that keeps what is plain beside what ExaBGP makes of it."""
    from exabgp.bgp.message.direction import Direction
    from exabgp.bgp.message.notification import Notify
    from exabgp.logger import log

    def unpack_message(cls: Any, data: bytes, direction: int, negotiated: Any) -> Any:
        if direction != Direction.IN or not negotiated.asn4 or not is_plain(data, session_of(negotiated)):
            return released(data, direction, negotiated)
        try:
            decoded = released(data, direction, negotiated)
        except Notify as refusal:
            text = f"ExaBGP ends the session for an UPDATE that is plain: {refusal}: {data.hex()}"
            log.error(lambda: text, "parser")
            raise
        header = MARKER + (HEADER_BYTES + len(data)).to_bytes(2) + PlainUpdates.TYPE
        decoded.felix_plain = PlainUpdates(header + data, session_of(negotiated).path_ids)
        return decoded

    return classmethod(unpack_message)


def hand_on_plain(released: Callable[..., str]) -> Callable[..., str]:
    """Return JSON.update that writes plain UPDATEs as `update PEER PATH_IDS HEX`.

    PATH_IDS: of which families the prefixes come with path identifiers, with a comma between two; `-`: of none. HEX:
    the messages in hexadecimal digits. One that ExaBGP has decoded as well: `compare PEER PATH_IDS HEX JSON`.
    """

    def update(encoder: Any, neighbor: Any, direction: str, update: Any, *more: Any) -> str:
        plain = update if isinstance(update, PlainUpdates) else getattr(update, "felix_plain", None)
        if plain is None:
            return released(encoder, neighbor, direction, update, *more)
        words = f"{neighbor['peer-address']} {','.join(plain.path_ids) or '-'} {plain.messages.hex()}"
        if plain is update:
            return f"update {words}"
        return f"compare {words} {released(encoder, neighbor, direction, update, *more)}"

    return update
