"""RFC 7606, attribute by attribute: raw bytes through the real ExaBGP and our RIB-in, and what became of the route.

raw peer 10.9.0.2, of our AS    ┐
                                ├──► ExaBGP 10.9.0.1, AS 64512   (one loopback device)
raw peer 10.9.0.3, of AS 65001  ┘

Each UPDATE announces a network that was announced well before, with another MED; a good UPDATE follows. Whatever a peer
sends, the network is withdrawn, or taken without the attribute that was wrong, or the session ends, as the RFC says.
"""

from __future__ import annotations

import contextlib
import struct
from asyncio import StreamWriter
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from bgp.events import PeerDown, PeerUp, SpeakerEvent, SpeakerStarted, UpdateReceived
from bgp.rib_in import PathKey, RibIn
from bgp.speaker import AsPathSegment, Attributes, LocalNode
from net.prefix import Prefix, pack
from tests.bgp.exabgp_nodes import AS, ExaBGPNode, address, node, speaker, with_neighbour
from tests.bgp.network import own_network
from tests.bgp.raw_peer import (
    BOTH,
    EXTENDED,
    OPTIONAL,
    WELL_KNOWN,
    attribute,
    message,
    networks,
    raw_peer,
    update,
)

OTHER_AS, INTERNAL, EXTERNAL = 65001, 2, 3
NETWORK, NETWORK6, MARKER = "203.0.113.0/24", "2001:db8:7::/48", "198.51.100.0/24"
MED_BEFORE, MED = 1, 7


class Fate(StrEnum):
    """What becomes of the announcement: RFC 7606 §2."""

    WITHDRAWN = "treat-as-withdraw"
    TAKEN = "taken, without an attribute that is wrong"
    RESET = "session reset"
    UNTOUCHED = "the announcement before stands"


WITHDRAWN, TAKEN, RESET, UNTOUCHED = Fate


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def path_of(asn: int) -> bytes:
    return b"" if asn == AS else b"\2\1" + asn.to_bytes(4)


def mandatory(asn: int, med: int = MED) -> dict[int, bytes]:
    """Return good attributes of a peer of this AS by code."""
    return {
        1: attribute(WELL_KNOWN, 1, b"\0"),
        2: attribute(WELL_KNOWN, 2, path_of(asn)),
        3: attribute(WELL_KNOWN, 3, pack("10.9.0.4")),
        4: attribute(OPTIONAL, 4, struct.pack("!I", med)),
    }


def reach(next_hop: bytes, prefixes: bytes, *, afi: int = 2, safi: int = 1, flags: int = OPTIONAL) -> bytes:
    return attribute(flags, 14, struct.pack("!HBB", afi, safi, len(next_hop)) + next_hop + b"\0" + prefixes)


def unreach(prefixes: bytes, *, afi: int = 2, safi: int = 1, flags: int = OPTIONAL) -> bytes:
    return attribute(flags, 15, struct.pack("!HB", afi, safi) + prefixes)


NEXT_HOP6 = pack("fd09::4")
REACH = reach(NEXT_HOP6, networks(NETWORK6))


def of_attributes(asn: int) -> Iterator[tuple[str, bytes, Fate, Fate]]:
    """Yield what is wrong, the attributes in place of good ones of the same codes, and its fate from an internal peer
    and from an external one.
    """
    asn4 = asn.to_bytes(4)
    lengths: tuple[int, ...]
    for name, code, flags, lengths in (
        ("ORIGIN", 1, WELL_KNOWN, (0, 2)),
        ("NEXT_HOP", 3, WELL_KNOWN, (0, 3, 5)),
        ("MED", 4, OPTIONAL, (0, 2, 5)),
        ("COMMUNITY", 8, BOTH, (0, 3, 6)),
        ("EXT_COMMUNITIES", 16, BOTH, (0, 4, 12)),
        ("LARGE_COMMUNITIES", 32, BOTH, (0, 4, 13)),
    ):
        for length in lengths:
            yield f"{name} of {length} bytes", attribute(flags, code, bytes(length)), WITHDRAWN, WITHDRAWN
        yield f"{name} with wrong flags", attribute(flags ^ OPTIONAL, code, bytes(4)), WITHDRAWN, WITHDRAWN
    for name, code, flags, lengths in (
        ("LOCAL_PREF", 5, WELL_KNOWN, (0, 2, 5)),
        ("ORIGINATOR_ID", 9, OPTIONAL, (0, 3, 8)),
        ("CLUSTER_LIST", 10, OPTIONAL, (0, 3, 6)),
    ):
        for length in lengths:
            yield f"{name} of {length} bytes", attribute(flags, code, bytes(length)), WITHDRAWN, TAKEN
        yield f"{name} with wrong flags", attribute(flags ^ OPTIONAL, code, bytes(4)), WITHDRAWN, TAKEN
    for name, code, flags in (
        ("AGGREGATOR", 7, BOTH),
        ("AS4_PATH", 17, BOTH),
        ("AS4_AGGREGATOR", 18, BOTH),
        ("AIGP", 26, OPTIONAL),
        ("PREFIX_SID", 40, BOTH),
    ):
        for length in (0, 2, 9):
            yield f"{name} of {length} bytes", attribute(flags, code, bytes(length)), TAKEN, TAKEN
    yield "AS4_PATH among four-octet peers", attribute(BOTH, 17, b"\2\1\0\0\0\7"), TAKEN, TAKEN
    yield "ATOMIC_AGGREGATE of 1 byte", attribute(WELL_KNOWN, 6, b"\0"), TAKEN, TAKEN
    yield "ATOMIC_AGGREGATE with wrong flags", attribute(OPTIONAL, 6, b""), WITHDRAWN, WITHDRAWN
    yield "AGGREGATOR with wrong flags", attribute(WELL_KNOWN, 7, bytes(8)), WITHDRAWN, WITHDRAWN
    yield "AGGREGATOR of AS 0", attribute(BOTH, 7, bytes(4) + pack("192.0.2.7")), TAKEN, TAKEN
    yield "ORIGIN 3", attribute(WELL_KNOWN, 1, b"\3"), WITHDRAWN, WITHDRAWN
    yield "NEXT_HOP of IPv6", attribute(WELL_KNOWN, 3, NEXT_HOP6), WITHDRAWN, WITHDRAWN
    for what, value in (
        ("a segment of an unknown kind", b"\7\1\0\0\0\1"),
        ("a segment longer than the attribute", b"\2\3\0\0\0\1"),
        ("half a segment", b"\2"),
        ("an empty segment", b"\2\1" + asn4 + b"\2\0"),
        ("a confederation's sequence", b"\3\1" + asn4),
        ("a confederation's set", b"\4\1" + asn4),
        ("AS 0", b"\2\2" + asn4 + bytes(4)),
    ):
        yield f"AS_PATH with {what}", attribute(WELL_KNOWN, 2, value), WITHDRAWN, WITHDRAWN
    yield "AS_PATH with wrong flags", attribute(BOTH, 2, path_of(asn)), WITHDRAWN, WITHDRAWN
    yield "AS_PATH with the partial bit", attribute(WELL_KNOWN | 0x20, 2, path_of(asn)), TAKEN, TAKEN
    yield "AS_PATH of extended length", attribute(WELL_KNOWN | EXTENDED, 2, path_of(asn)), TAKEN, TAKEN
    yield "an unknown well-known attribute", attribute(WELL_KNOWN, 99, b"\0"), WITHDRAWN, WITHDRAWN
    yield "one that is not transitive either", attribute(0, 99, b"\0"), WITHDRAWN, WITHDRAWN
    yield "an unknown optional attribute", attribute(OPTIONAL, 99, b"\0"), TAKEN, TAKEN
    yield "an attribute longer than the rest", attribute(BOTH, 99, b"\0", length=60), WITHDRAWN, WITHDRAWN
    yield "one byte of an attribute", b"\xc0", WITHDRAWN, WITHDRAWN
    yield "half of an extended length", b"\xd0\x08\0", WITHDRAWN, WITHDRAWN


def of_updates(asn: int) -> Iterator[tuple[str, bytes, Fate]]:
    """Yield what is wrong, the whole message, and its fate from either peer."""
    good = mandatory(asn)
    well = b"".join(good.values())
    network = networks(NETWORK)
    for code, name in ((1, "ORIGIN"), (2, "AS_PATH"), (3, "NEXT_HOP")):
        others = b"".join(value for other, value in good.items() if other != code)
        yield f"no {name}", update(others, network), WITHDRAWN
    yield "nothing", update(well, network), TAKEN
    for name, again in (
        ("ORIGIN", attribute(WELL_KNOWN, 1, b"\2")),
        ("AS_PATH", attribute(WELL_KNOWN, 2, b"\2\1\0\0\0\7")),
        ("MED, and wrong", attribute(OPTIONAL, 4, b"\0")),
    ):
        yield f"a second {name}", update(well + again, network), TAKEN
    yield "a family that was not negotiated", update(well + reach(bytes(24), b"", afi=1, safi=128), network), TAKEN
    yield "a withdrawal of such", update(well + unreach(networks("224.0.0.0/8"), afi=1, safi=2), network), TAKEN
    yield "only such", update(unreach(networks("224.0.0.0/8"), afi=25, safi=65)), UNTOUCHED
    yield (
        "100 unknown attributes",
        update(well + b"".join(attribute(BOTH, c, b"") for c in range(100, 200)), network),
        (TAKEN),
    )
    yield "more attributes than the message has", message(2, struct.pack("!HH", 0, 200) + well + network), RESET
    yield "more withdrawals than it has", message(2, struct.pack("!HH", 200, 0) + well + network), RESET
    yield "a prefix of 33 bits", update(well, b"\x21" + bytes(5)), RESET
    yield "half a prefix", update(well, b"\x18\1"), RESET
    yield "a withdrawn prefix of 33 bits", update(withdrawn=b"\x21" + bytes(5)), RESET
    yield "MP_REACH twice", update(well + REACH + REACH, network), RESET
    yield "MP_UNREACH twice", update(well + 2 * unreach(networks(NETWORK6)), network), RESET
    yield "MP_REACH with wrong flags", update(well + reach(NEXT_HOP6, networks(NETWORK6), flags=BOTH), network), RESET
    yield "MP_UNREACH with wrong flags", update(well + unreach(networks(NETWORK6), flags=BOTH), network), RESET
    yield "MP_REACH of 2 bytes", update(well + attribute(OPTIONAL, 14, b"\0\2"), network), RESET
    yield "MP_UNREACH of 2 bytes", update(well + attribute(OPTIONAL, 15, b"\0\2"), network), RESET
    yield "MP_REACH without a prefix", update(well + reach(NEXT_HOP6, b""), network), RESET
    yield "an IPv6 prefix of 129 bits", update(well + reach(NEXT_HOP6, b"\x81" + bytes(17)), network), RESET
    yield "an IPv6 next hop of IPv4", update(well + reach(NEXT_HOP6, networks(NETWORK), afi=1)), RESET
    for length in (0, 4, 15, 17, 24):
        yield f"an IPv6 next hop of {length} bytes", update(well + reach(bytes(length), networks(NETWORK6))), RESET


def cases(asn: int) -> Iterator[tuple[str, bytes, Fate]]:
    """Yield every case: what is wrong, the whole message, and its fate from a peer of this AS."""
    for name, wrong, internal, external in of_attributes(asn):
        others = b"".join(value for code, value in mandatory(asn).items() if bytes([code]) != wrong[1:2])
        yield name, update(others + wrong, networks(NETWORK)), internal if asn == AS else external
    yield from of_updates(asn)


async def settled(one: ExaBGPNode, writer: StreamWriter, sent: bytes) -> tuple[bool, list[SpeakerEvent]]:
    """Send something that ends with the marker; return whether the session ended, and all that was reported so far."""
    before = len(one.events)

    def is_last(event: SpeakerEvent) -> bool:
        return isinstance(event, PeerDown) or (
            isinstance(event, UpdateReceived) and any(str(path.prefix) == MARKER for path in event.announced)
        )

    writer.write(sent)
    reported = one.events[before : await one.wait_for(is_last, after=before)]
    return isinstance(reported[-1], PeerDown), reported


def fate(one: ExaBGPNode, number: int, asn: int, reported: list[SpeakerEvent]) -> tuple[Fate, Attributes | None]:
    """Return what RIB-in has made of the reports, and the attributes in use."""
    rib = RibIn()
    session = with_neighbour(speaker(1, number), peer_as=asn, is_node=False).neighbours[0]
    rib.configure([session], LocalNode(AS, pack(address(1))), 0.0)
    for event in (PeerUp(session.address), *reported):
        if isinstance(event, (PeerUp, UpdateReceived)):
            rib.fold(event, 0.0)
    held = rib.peers[session.address].routes.get(PathKey(Prefix.parse(NETWORK), 0))
    if held is None or held.reject_reason is not None:
        return WITHDRAWN, None
    return (UNTOUCHED if held.attributes.med == MED_BEFORE else TAKEN), held.attributes


@contextlib.asynccontextmanager
async def dialling(one: ExaBGPNode, number: int, asn: int) -> AsyncIterator[StreamWriter]:
    """A session, once it is up at both ends."""
    before = len(one.events)
    async with raw_peer(address(number), address(1), asn) as writer:
        await one.wait_for(PeerUp(address(number)), after=before)
        yield writer


@contextlib.asynccontextmanager
async def waiting_for(directory: Path, number: int, asn: int) -> AsyncIterator[ExaBGPNode]:
    async with node(directory) as one:
        await one.exabgp.reload(with_neighbour(speaker(1, number), peer_as=asn, is_node=False))
        await one.wait_for(SpeakerStarted())
        yield one


def is_whole(name: str, attributes: Attributes, asn: int) -> bool:
    """Whether of an announcement that is taken every good attribute is left, and none that is wrong."""
    as_path = (AsPathSegment("sequence", (asn,)),) if asn != AS else ()
    return attributes == Attributes(
        pack("10.9.0.4"), None, as_path=as_path, med=MED, unknown=attributes.unknown
    ) and bool(attributes.unknown) == name.startswith("100")


@pytest.mark.parametrize(("number", "asn"), [(INTERNAL, AS), (EXTERNAL, OTHER_AS)])
async def test_a_malformed_update_does_what_rfc_7606_says_and_no_more(tmp_path: Path, number: int, asn: int) -> None:
    before = b"".join(mandatory(asn, MED_BEFORE).values())
    found, wanted, odd = dict[str, Fate](), dict[str, Fate](), list[str]()
    async with waiting_for(tmp_path, number, asn) as one, contextlib.AsyncExitStack() as sessions:
        writer = await sessions.enter_async_context(dialling(one, number, asn))
        for name, raw, expected in cases(asn):
            sent = update(before, networks(NETWORK)) + raw + update(before, networks(MARKER))
            ended, reported = await settled(one, writer, sent)
            became, attributes = fate(one, number, asn, reported)
            found[name], wanted[name] = RESET if ended else became, expected
            if found[name] is TAKEN and attributes is not None and not is_whole(name, attributes, asn):
                odd.append(f"{name}: {attributes}")
            if ended:
                writer = await sessions.enter_async_context(dialling(one, number, asn))
    assert found == wanted
    assert odd == []


async def test_ipv6_next_hops_are_read_in_each_of_their_forms(tmp_path: Path) -> None:
    good = b"".join(value for code, value in mandatory(AS).items() if code != 3)
    link_local = pack("fe80::7")
    forms = {NEXT_HOP6: NEXT_HOP6, NEXT_HOP6 + link_local: NEXT_HOP6, link_local: link_local}
    async with waiting_for(tmp_path, INTERNAL, AS) as one, dialling(one, INTERNAL, AS) as writer:
        for next_hop, read in {**forms, bytes(16) + link_local: link_local}.items():
            before = len(one.events)
            writer.write(update(good + reach(next_hop, networks(NETWORK6))))
            await one.wait_for(lambda event: isinstance(event, UpdateReceived), after=before)
            assert one.routes(INTERNAL)[Prefix.parse(NETWORK6)].next_hop == read
