"""Plain UPDATEs decoded here and by ExaBGP, whose answer is the right one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgp import exabgp_json
from bgp.events import AnnouncedPath, EndOfRib, SpeakerEvent, UpdateReceived, UpdatesReceived, WithdrawnPath
from bgp.exabgp_launcher.plain_updates import Session, is_plain, is_right, is_usual
from bgp.speaker import AsPathSegment, Attributes
from bgp.update import event, one_by_one, received
from net.prefix import Prefix, pack
from tests.bgp.raw_peer import BOTH, EXTENDED, OPTIONAL, UPDATE, WELL_KNOWN, attribute, networks
from tests.bgp.raw_peer import message as whole
from tests.bgp.raw_peer import update_body as body

PEER = "192.0.2.2"
ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"\2\1\0\0\xfd\xe9")
NEXT_HOP = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))
MANDATORY = ORIGIN + AS_PATH + NEXT_HOP
NETWORKS = networks("10.65.1.0/26", "10.65.2.64/26", "192.0.2.9", "10.0.0.0/8", "0.0.0.0/0")

ORACLE = """
import sys
from collections import defaultdict
from types import SimpleNamespace
from bgp.exabgp_launcher import replacements
replacements.patch(0, 1)
from exabgp.bgp.message.action import Action
from exabgp.bgp.message import Update
from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.notification import Notify
from exabgp.bgp.message.update.attribute import Attribute
from exabgp.environment import getenv
from exabgp.logger import log
from exabgp.reactor.api.response import Response
log.init(getenv())
neighbor = type("Neighbor", (defaultdict,), {"uid": 1})(lambda: "192.0.2.2", {"local-as": 64512, "peer-as": 64512})
for line in sys.stdin:
    peer_as, path_ids, body = line.split()
    receives = {1: "ipv4" in path_ids, 2: "ipv6" in path_ids}
    negotiated = SimpleNamespace(
        local_as=64512, peer_as=int(peer_as), asn4=True, families=[(1, 1), (2, 1)], nexthop=[], neighbor=neighbor,
        addpath=SimpleNamespace(receive=lambda afi, safi, of=receives: of[int(afi)]),
        cached_attributes=None, cached_wire=b"", aigp=False,
    )
    try:
        update = Update.unpack_message(bytes.fromhex(body), Direction.IN, negotiated)
    except Notify:
        print(flush=True)
        continue
    if Attribute.CODE.INTERNAL_TREAT_AS_WITHDRAW in update.attributes:
        for nlri in update.nlris:
            nlri.action = Action.WITHDRAW
    print(Response.JSON("5").update(neighbor, "receive", update, None, b"", b""), flush=True)
"""
"""Decodes like the ExaBGP that the launcher runs, but for handing plain messages on: a line of JSON for each message,
an empty one where it would end the session."""

Ask = Callable[[bytes, Session], SpeakerEvent | None]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """What ExaBGP makes of the body of an UPDATE in a session."""
    oracle = subprocess.Popen(
        [sys.executable, "-c", ORACLE],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert oracle.stdin is not None and oracle.stdout is not None

    def decoded(body: bytes, session: Session) -> SpeakerEvent | None:
        assert oracle.stdin is not None and oracle.stdout is not None
        path_ids = ",".join(session.path_ids) or "-"
        oracle.stdin.write(f"{65001 if session.external else 64512} {path_ids} {body.hex()}\n")
        oracle.stdin.flush()
        line = oracle.stdout.readline()
        assert line, "the oracle ended; its message is above"
        return exabgp_json.event(line.encode()) if line.strip() else None

    yield decoded
    with suppress(BrokenPipeError):
        oracle.stdin.close()
    oracle.wait()
    oracle.stdout.close()


# What is decoded


def test_a_line_of_several_messages_is_as_many_lines_and_what_is_no_message_stands_alone() -> None:
    one, other = whole(UPDATE, body(MANDATORY, networks("10.65.1.0/26"))), whole(UPDATE, body())
    cut, short = other[:-1], bytes(16) + b"\0\1" + other[18:]
    for last in (cut, short, b"\0"):
        line = b"update 192.0.2.2 ipv4 " + (one + other + last).hex().encode()
        assert one_by_one(line) == [b"update 192.0.2.2 ipv4 " + each.hex().encode() for each in (one, other, last)]
    for line in (b"{}", b"update 192.0.2.2 - zz", b"compare 192.0.2.2 - 00 {}"):
        assert one_by_one(line) == [line]


def test_ipv6_has_its_own_next_hop_and_shares_the_rest() -> None:
    hops = pack("fd09::1") + pack("fe80::1")
    reach = attribute(OPTIONAL, 14, b"\0\2\1" + bytes([len(hops)]) + hops + b"\0" + networks("fd00:65::/122"))
    told = received(PEER, body(MANDATORY + reach, networks("10.65.1.0/26")))
    assert [(str(each.prefix), each.attributes.next_hop) for each in told.announced] == [
        ("10.65.1.0/26", pack(PEER)),
        ("fd00:65::/122", pack("fd09::1")),
    ]
    assert received(PEER, body(reach + MANDATORY)).announced[0].attributes is told.announced[1].attributes


def test_path_identifiers_are_read_of_the_families_that_have_them() -> None:
    unreach = attribute(OPTIONAL, 15, b"\0\2\1" + networks("fd00:65::/122"))
    message = body(unreach, withdrawn=bytes((0, 0, 1, 0)) + networks("10.65.1.0/26"))
    withdrawn = (WithdrawnPath(Prefix.parse("10.65.1.0/26"), 256), WithdrawnPath(Prefix.parse("fd00:65::/122"), 0))
    line = f"update {PEER} ipv4 {whole(UPDATE, message).hex()}".encode()
    assert event(line) == UpdatesReceived(PEER, (UpdateReceived(PEER, withdrawn=withdrawn),))


def test_prefixes_of_one_update_share_their_attributes() -> None:
    [first, second] = received(PEER, body(MANDATORY, networks("10.65.1.0/26", "10.65.2.0/26"))).announced
    assert first.attributes is second.attributes
    assert first == AnnouncedPath(
        Prefix.parse("10.65.1.0/26"),
        0,
        Attributes(pack(PEER), local_preference=None, as_path=(AsPathSegment("sequence", (65001,)),)),
    )


def test_bits_behind_a_length_do_not_count() -> None:
    told = received(PEER, body(MANDATORY, bytes([26, 10, 65, 1, 63])))
    assert told.announced[0].prefix == Prefix.parse("10.65.1.0/26")


def test_a_line_of_plain_updates_is_told_apart_from_json() -> None:
    bodies = body(MANDATORY, networks("10.65.1.0/26")), body(withdrawn=networks("10.65.1.0/26"))
    messages = b"".join(whole(UPDATE, each) for each in bodies)
    told = event(f"update {PEER} - {messages.hex()}".encode())
    assert told == UpdatesReceived(PEER, tuple(received(PEER, each) for each in bodies))
    eor = {"afi": "ipv4", "safi": "unicast"}
    line = str({"type": "update", "neighbor": {"address": {"peer": PEER}, "message": {"eor": eor}}}).replace("'", '"')
    assert event(line.encode()) == EndOfRib(PEER, "ipv4")


CUT_MESSAGES = [whole(UPDATE, bytes(4))[:-1], whole(UPDATE, bytes(4))[:16] + bytes(3), bytes(5)]


@pytest.mark.parametrize(
    "line",
    [
        b"update ",
        b"update 192.0.2.2 - 0",
        b"update 192.0.2.2 - zz",
        b"update 1 2 3 4",
        *(f"update 192.0.2.2 - {cut.hex()}".encode() for cut in CUT_MESSAGES),
    ],
)
def test_a_malformed_line_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        event(line)


# Both decoders at run time

CUT = b"\0\0\0\1\x40\0"  # an announcement whose only attribute ends behind its first byte


def compare_line(message: bytes, said: dict[str, object]) -> bytes:
    """Return the line of a message of which ExaBGP said this."""
    written = {"type": "update", "neighbor": {"address": {"peer": PEER}, "message": {"update": said}}}
    return f"compare {PEER} - {whole(UPDATE, message).hex()} {json.dumps(written)}".encode()


def withdrawal_line(message: bytes, *prefixes: str) -> bytes:
    return compare_line(message, {"withdraw": {"ipv4 unicast": [{"nlri": prefix} for prefix in prefixes]}})


def disagreement(line: bytes) -> str:
    told = event(line)
    assert isinstance(told, UpdateReceived) and told.disagreement is not None
    return told.disagreement


def test_where_both_decoders_agree_the_event_is_the_usual_one() -> None:
    withdrawal = body(withdrawn=networks("10.65.1.0/26"))
    assert event(withdrawal_line(withdrawal, "10.65.1.0/26")) == received(PEER, withdrawal)


def test_where_the_decoders_differ_exabgps_answer_counts_and_both_are_told() -> None:
    withdrawal = body(withdrawn=networks("10.65.1.0/26"))
    line = withdrawal_line(withdrawal, "10.65.2.0/26")
    told = event(line)
    assert isinstance(told, UpdateReceived)
    assert told.withdrawn == (WithdrawnPath(Prefix.parse("10.65.2.0/26"), 0),)
    assert disagreement(line) == (
        f"decode an UPDATE of {PEER}: ExaBGP makes 0 announced and 1 withdrawn, of these 10.65.2.0/26 with identifier "
        "0 of it, the sidecar 0 announced and 1 withdrawn, of these 10.65.1.0/26 with identifier 0; what ExaBGP says "
        f"counts; path identifiers of -, the message: {whole(UPDATE, withdrawal).hex()}"
    )
    assert "the sidecar IndexError" in disagreement(withdrawal_line(CUT, "10.65.2.0/26"))


def test_the_first_path_that_differs_is_told_and_of_its_attributes_the_first() -> None:
    fewer = disagreement(withdrawal_line(body(withdrawn=networks("10.65.1.0/26", "10.65.2.0/26")), "10.65.1.0/26"))
    assert "ExaBGP makes 0 announced and 1 withdrawn, no more of it" in fewer
    assert "0 announced and 2 withdrawn, of these 10.65.2.0/26 with identifier 0;" in fewer
    said = {
        "attribute": {"origin": "igp", "as-path": {"0": {"element": "as-sequence", "value": [65001]}}, "med": 7},
        "announce": {"ipv4 unicast": {"192.0.2.2": [{"nlri": "10.65.1.0/26"}]}},
    }
    med = disagreement(compare_line(body(MANDATORY, networks("10.65.1.0/26")), said))
    assert "of 10.65.1.0/26 med 7 of it" in med and "of 10.65.1.0/26 med None;" in med


def test_a_disagreement_over_the_longest_message_is_a_line_that_can_be_read() -> None:
    prefixes = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(16_000)]
    line = withdrawal_line(body(withdrawn=networks(*prefixes)), *prefixes[:-1])
    assert len(disagreement(line)) < 12_000
    assert "of these 10.62.127.0/24 with identifier 0" in disagreement(line)


def test_where_exabgp_takes_it_for_no_update_the_sidecars_answer_counts() -> None:
    withdrawal = body(withdrawn=networks("10.65.1.0/26"))
    for written in ("{}", "not JSON"):
        line = f"compare {PEER} - {whole(UPDATE, withdrawal).hex()} {written}".encode()
        told = event(line)
        assert isinstance(told, UpdateReceived) and told.withdrawn == received(PEER, withdrawal).withdrawn
        assert "what the sidecar says counts" in disagreement(line)


def test_what_neither_takes_for_an_update_is_refused() -> None:
    with pytest.raises(ValueError, match="ExaBGP makes None of it, the sidecar IndexError"):
        event(f"compare {PEER} - {whole(UPDATE, CUT).hex()} {{}}".encode())


# Both decoders

VALUES = st.integers(0, 4).flatmap(lambda count: st.binary(min_size=4 * count, max_size=4 * count))
SEGMENTS = st.lists(
    st.builds(
        lambda kind, numbers: bytes([kind, len(numbers) // 4]) + numbers, st.sampled_from((1, 2)), VALUES.filter(bool)
    ),
    max_size=3,
).map(b"".join)
USUAL = {
    1: (WELL_KNOWN, st.sampled_from((b"\0", b"\1", b"\2"))),
    2: (WELL_KNOWN, SEGMENTS),
    3: (WELL_KNOWN, st.binary(min_size=4, max_size=4)),
    4: (OPTIONAL, st.binary(min_size=4, max_size=4)),
    5: (WELL_KNOWN, st.binary(min_size=4, max_size=4)),
    8: (BOTH, VALUES),
    9: (OPTIONAL, st.binary(min_size=4, max_size=4)),
    10: (OPTIONAL, VALUES),
    32: (BOTH, st.integers(0, 2).flatmap(lambda count: st.binary(min_size=12 * count, max_size=12 * count))),
}
MANDATORY_CODES = (1, 2, 3)


@st.composite
def attributes(draw: st.DrawFn, next_hop: bool) -> bytes:
    """Attributes that are mostly right: the mandatory ones, some others, in any order, now and then something odd."""
    codes = [
        *(MANDATORY_CODES if next_hop else MANDATORY_CODES[:2]),
        *draw(st.lists(st.sampled_from([4, 5, 8, 9, 10, 32]), max_size=4, unique=True)),
    ]
    written = []
    usual = draw(st.booleans())
    for code in sorted(codes) if usual else draw(st.permutations(codes)):
        flags, value = USUAL[code]
        more = 0 if usual else draw(st.sampled_from((0, 0, EXTENDED)))
        written.append(attribute(flags | more, code, draw(value)))
    if draw(st.integers(0, 9)) == 0:
        position = draw(st.integers(0, len(written)))
        odd = attribute(draw(st.sampled_from((WELL_KNOWN, OPTIONAL, BOTH))), draw(st.integers(1, 40)), draw(VALUES))
        written.insert(position, odd)
    return b"".join(written)


@st.composite
def nlri(draw: st.DrawFn, size: int, path_ids: bool) -> bytes:
    """Some networks, of addresses of `size` bytes, with path identifiers or without, and seldom the other way round."""
    with_ids = path_ids != (draw(st.integers(0, 19)) == 0)
    found = b""
    for length in draw(st.lists(st.integers(0, 8 * size), max_size=4)):
        found += draw(st.binary(min_size=4, max_size=4)) if with_ids else b""
        found += bytes([length]) + draw(st.binary(min_size=size, max_size=size))[: (length + 7) // 8]
    return found


SESSIONS = st.builds(
    Session,
    external=st.booleans(),
    ipv6=st.just(True),
    path_ids=st.sampled_from([(), ("ipv4",), ("ipv6",), ("ipv4", "ipv6")]),
)
GLOBAL_ADDRESSES = st.one_of(
    st.binary(min_size=16, max_size=16), st.sampled_from([bytes(16), pack("fd09::1"), pack("fe80::1")])
)
NEXT_HOPS = st.builds(
    lambda one, other: one + other, GLOBAL_ADDRESSES, st.sampled_from([b"", b"", pack("fe80::2"), pack("fd09::2")])
)
IPV6 = b"\0\2\1"


@st.composite
def messages(draw: st.DrawFn, session: Session) -> bytes:
    """The body of an UPDATE with prefixes of one family or of both, most of them announced."""
    ids4, ids6 = ("ipv4" in session.path_ids), ("ipv6" in session.path_ids)
    announced, withdrawn, others = draw(nlri(4, ids4)), draw(nlri(4, ids4)), b""
    announced6, withdrawn6 = draw(nlri(16, ids6)), draw(nlri(16, ids6))
    if announced or announced6 or draw(st.booleans()):
        others = draw(attributes(next_hop=bool(announced) or draw(st.integers(0, 4)) == 0))
    if announced6:
        next_hop = draw(NEXT_HOPS)
        others += attribute(OPTIONAL | EXTENDED, 14, IPV6 + bytes([len(next_hop)]) + next_hop + b"\0" + announced6)
    if withdrawn6:
        others = attribute(OPTIONAL | EXTENDED, 15, IPV6 + withdrawn6) + others
    return body(others, announced, withdrawn)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), session=SESSIONS)
def test_a_plain_update_says_what_exabgp_says(ask: Ask, data: st.DataObject, session: Session) -> None:
    message = data.draw(messages(session))
    assert is_right(message, session) or not is_usual(message, session)
    if is_plain(message, session):
        assert received(PEER, message, session.path_ids) == ask(message, session)
