"""The lines in tests/fixtures/exabgp were written by ExaBGP 5.0.15.

`recorded` is a session with an ExaBGP (10.9.0.2) and one with a BIRD (10.9.0.3), `malformed` with a peer that sends
nonsense.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import exabgp_json
from bgp.events import (
    AnnouncedPath,
    EndOfRib,
    GracefulRestart,
    PeerConnected,
    PeerDown,
    PeerOpen,
    PeerUp,
    RouteRefresh,
    SpeakerEvent,
    UpdateReceived,
    WithdrawnPath,
)
from bgp.speaker import (
    AsPathSegment,
    Attributes,
    UnknownAttribute,
)
from net.prefix import Prefix, pack, unpack
from tests.bgp.attributes import PLAIN6, RICH, ROUTES

FIXTURES = Path(__file__).parent.parent / "fixtures" / "exabgp"


EXABGP, BIRD = "10.9.0.2", "10.9.0.3"


def lines(name: str) -> list[bytes]:
    return (FIXTURES / f"{name}.txt").read_bytes().splitlines()


def events(name: str, peer: str) -> list[SpeakerEvent]:
    decoded = [exabgp_json.event(line) for line in lines(name) if line.startswith(b"{")]
    return [event for event in decoded if event is not None and getattr(event, "peer", None) == peer]


def test_a_session_of_two_exabgps_is_read_as_it_happened() -> None:
    assert events("recorded", EXABGP) == [
        PeerConnected(EXABGP),
        PeerOpen(
            EXABGP,
            router_id=pack("10.9.0.2"),
            asn=64512,
            hold_time=90,
            families=("ipv4", "ipv6"),
            restart=GracefulRestart(120, restarting=True, families=(("ipv4", True), ("ipv6", True))),
            refresh=True,
        ),
        PeerUp(EXABGP),
        UpdateReceived(EXABGP, announced=tuple(AnnouncedPath(prefix, 0, RICH) for prefix in list(ROUTES)[:2])),
        UpdateReceived(EXABGP, announced=(AnnouncedPath(Prefix.parse("fd00::/122"), 0, PLAIN6),)),
        EndOfRib(EXABGP, "ipv4"),
        EndOfRib(EXABGP, "ipv6"),
        RouteRefresh(EXABGP, "ipv4", "query"),
        UpdateReceived(EXABGP, withdrawn=tuple(WithdrawnPath(prefix, 0) for prefix in list(ROUTES)[:2])),
        UpdateReceived(EXABGP, withdrawn=(WithdrawnPath(Prefix.parse("fd00::/122"), 0),)),
        PeerDown(EXABGP, "closing connection"),
    ]


def test_bird_with_add_path_is_read_with_its_path_ids() -> None:
    opened, *_ = [event for event in events("recorded", BIRD) if isinstance(event, PeerOpen)]
    assert opened.add_path == ("ipv4",)
    assert opened.restart == GracefulRestart(120, restarting=False, families=(("ipv4", False), ("ipv6", False)))
    updates = [event for event in events("recorded", BIRD) if isinstance(event, UpdateReceived)]
    routes = {route.prefix: route for update in updates for route in update.announced}
    rich = routes[Prefix.parse("20.0.0.0/26")]
    assert rich.path_id == 2
    assert rich.attributes == Attributes(
        pack("10.9.0.3"),
        local_preference=None,
        as_path=(AsPathSegment("sequence", (65001, 65010)),),
        communities=((64512, 7),),
        large_communities=((64512, 1, 2),),
        extended_communities=(0x0002FC0000000009,),
    )
    assert updates[-1].withdrawn == tuple(
        WithdrawnPath(Prefix.parse(text), 2) for text in ("20.0.0.64/26", "20.0.0.0/26")
    )
    assert events("recorded", BIRD)[-1] == PeerDown(BIRD, "notification received (6,2)")


def test_what_a_peer_got_wrong_is_passed_on_to_the_import_filter() -> None:
    first, second, third, fourth, fifth, sixth, seventh, eighth = [
        event for event in events("malformed", EXABGP) if isinstance(event, UpdateReceived)
    ]
    assert first.announced[0].attributes.origin == "invalid"
    assert second.announced[0].attributes.origin is None
    assert third.announced[0].attributes.next_hop == b""
    assert (fourth.error, fourth.announced, len(fourth.withdrawn)) == ("treat-as-withdraw", (), 1)
    assert fifth.announced[0].prefix == Prefix.parse("0.0.0.0/0")
    assert fifth.announced[0].attributes.next_hop == pack("127.0.0.1")
    assert sixth.announced[0].attributes.unknown == (UnknownAttribute(0x63, 0xE0, b"\1\2"),)
    assert seventh.error == "treat-as-withdraw"
    assert (len(eighth.withdrawn), len(eighth.announced)) == (1, 1)


def received(attribute: dict[str, Any]) -> UpdateReceived:
    """Return what is read of an UPDATE that announces one network and withdraws another."""
    update = {
        "attribute": attribute,
        "announce": {"ipv4 unicast": {"192.0.2.98": [{"nlri": "203.0.114.0/24"}]}},
        "withdraw": {"ipv4 unicast": [{"nlri": "203.0.115.0/24"}]},
    }
    line = {"type": "update", "neighbor": {"address": {"peer": "192.0.2.98"}, "message": {"update": update}}}
    read = exabgp_json.event(json.dumps(line).encode())
    assert isinstance(read, UpdateReceived)
    return read


def test_an_as4_path_without_an_as_path_is_no_path_and_loses_no_withdrawal() -> None:
    read = received({"origin": "igp", "attribute-0x11-0xC0": "( 64666 )"})
    assert read.announced[0].attributes == Attributes(pack("192.0.2.98"), local_preference=None)
    assert read.withdrawn == (WithdrawnPath(Prefix.parse("203.0.115.0/24"), 0),)


def test_a_discarded_attribute_is_no_error_and_an_aggregator_of_as_0_none() -> None:
    read = received({"origin": "igp", "error": "discard", "aggregator": "0:192.0.2.7"})
    assert (read.error, read.announced[0].attributes.aggregator) == (None, None)
    assert received({"origin": "igp", "aggregator": "7:192.0.2.7"}).announced[0].attributes.aggregator == "7:192.0.2.7"


@pytest.mark.parametrize(("afi", "safi", "read"), [("ipv6", "unicast", "ipv6"), ("ipv4", "multicast", None)])
def test_the_end_of_rib_of_a_family_that_we_do_not_speak_is_none(afi: str, safi: str, read: str | None) -> None:
    message = {"eor": {"afi": afi, "safi": safi}}
    line = {"type": "update", "neighbor": {"address": {"peer": "192.0.2.98"}, "message": message}}
    ended = exabgp_json.event(json.dumps(line).encode())
    assert (ended.family if isinstance(ended, EndOfRib) else ended) == read


@pytest.mark.parametrize(
    "odd",
    [
        {"as-path": {"0": {"element": "as-sequence", "value": [65001, 0]}}},
        {"attribute-0x63-0xE0": "( 64666 )"},
        {"attribute-0x63-0xE0": None},
        {"community": [1]},
        {"as-path": [64512]},
        {"cluster-list": ["no address"]},
        {"originator-id": "300.0.0.1"},
    ],
)
def test_attributes_that_cannot_be_read_withdraw_what_they_came_with(odd: dict[str, Any]) -> None:
    read = received({"origin": "igp", **odd})
    assert (read.announced, read.error) == ((), "unreadable attributes")
    assert [str(path.prefix) for path in read.withdrawn] == ["203.0.115.0/24", "203.0.114.0/24"]


def test_answers_are_told_from_events_and_text() -> None:
    verdicts = [exabgp_json.answer(line) for line in lines("recorded") if not line.startswith(b"{")]
    assert Counter(verdicts) == {None: 3, True: 3, False: 2}


def test_bits_behind_a_prefix_do_not_lose_the_line() -> None:
    line = next(line for line in lines("malformed") if b'"no-nexthop"' in line)
    update = exabgp_json.event(line.replace(b"20.0.0.0/26", b"20.0.0.9/26"))
    assert isinstance(update, UpdateReceived)
    assert update.announced[0].prefix == Prefix.parse("20.0.0.0/26")


@pytest.mark.parametrize("line", [b"", b"{", b"\xff{}", b'{"type":'])
def test_a_line_that_is_no_json_is_an_error_of_one_kind(line: bytes) -> None:
    with pytest.raises(ValueError):
        exabgp_json.event(line)


def test_unknown_lines_yield_no_event() -> None:
    assert exabgp_json.event(b'{"type": "signal", "code": "10"}') is None
    assert exabgp_json.event(b'{"type": "notification", "notification": "shutdown"}') is None


def test_equal_attributes_of_two_updates_are_one_object() -> None:
    line = next(line for line in lines("recorded") if b"10.65.1.0/26" in line)
    first, second = exabgp_json.event(line), exabgp_json.event(line)
    assert isinstance(first, UpdateReceived) and isinstance(second, UpdateReceived)
    assert first.announced[0].attributes is second.announced[1].attributes


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_come_out_whole_however_the_pipe_cuts_them(wanted: list[bytes], data: Any) -> None:
    stream = b"".join(line + b"\n" for line in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    buffer, got = exabgp_json.LineBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += buffer.feed(stream[start:end])
    assert got == wanted


def announcement(*next_hops: str) -> list[str]:
    """Return the next hops decoded of an UPDATE that ExaBGP reports with these."""
    routes = {next_hop: [{"nlri": "2001:db8:f::/48"}] for next_hop in next_hops}
    written = {"attribute": {"origin": "igp"}, "announce": {"ipv6 unicast": routes}}
    line = {"type": "update", "neighbor": {"address": {"peer": "fd09::3"}, "message": {"update": written}}}
    update = exabgp_json.event(json.dumps(line).encode())
    assert isinstance(update, UpdateReceived)
    return [unpack(route.attributes.next_hop) for route in update.announced]


def test_a_link_local_next_hop_beside_a_global_one_is_not_a_second_announcement() -> None:
    assert announcement("2001:db8::4", "fe80::1") == ["2001:db8::4"]
    assert announcement("fe80::1") == ["fe80::1"]
    assert announcement("::", "fe80::1") == ["fe80::1"]
    assert announcement("::") == ["::"]
