"""The lines in tests/fixtures/exabgp were written by ExaBGP 5.0.15: `recorded` talking to an ExaBGP (10.9.0.2) and
to a BIRD (10.9.0.3), `malformed` to a peer that sends nonsense."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import wire
from bgp.speaker import LOCAL_PREFERENCE, Attributes, Segment, Unknown
from bgp.wire import Announced, EndOfRib, PeerConnected, PeerDown, PeerOpen, PeerUp, Refresh, Restart, Update, Withdrawn
from net.prefix import Prefix, pack, unpack

FIXTURES = Path(__file__).parent.parent / "fixtures" / "exabgp"
EXABGP, BIRD = "10.9.0.2", "10.9.0.3"


def lines(name: str) -> list[bytes]:
    return (FIXTURES / f"{name}.txt").read_bytes().splitlines()


def events(name: str, peer: str) -> list[wire.Event]:
    heard = [wire.event(line) for line in lines(name) if line.startswith(b"{")]
    return [event for event in heard if event is not None and getattr(event, "peer", None) == peer]


RICH = Attributes(
    next_hop=pack("10.9.0.2"),
    as_path=(Segment("sequence", (65010, 65011)), Segment("set", (65020, 65021))),
    med=7,
    communities=((64512, 1), (65535, 65281)),
    large_communities=((64512, 3, 4),),
    extended_communities=(0x0002FC0000000009,),
    originator_id=pack("10.9.0.9"),
    cluster_list=(pack("10.9.0.8"), pack("7.7.7.7")),
    atomic_aggregate=True,
    aggregator="64512:1.2.3.4",
    unknown=(Unknown(0x63, 0xE0, b"\1\2\3\4"),),
)
PLAIN6 = Attributes(pack("fd09::2"), local_preference=100, origin="incomplete")
ROUTES = {
    Prefix.parse("10.65.1.0/26"): RICH,
    Prefix.parse("10.65.1.64/26"): RICH,
    Prefix.parse("fd00::/122"): PLAIN6,
}


def test_a_session_of_two_exabgps_is_read_as_it_happened() -> None:
    assert events("recorded", EXABGP) == [
        PeerConnected(EXABGP),
        PeerOpen(
            EXABGP,
            router_id=pack("10.9.0.2"),
            asn=64512,
            hold_time=90,
            families=("ipv4", "ipv6"),
            restart=Restart(120, restarting=True, families=(("ipv4", True), ("ipv6", True))),
        ),
        PeerUp(EXABGP),
        Update(EXABGP, announced=tuple(Announced(prefix, 0, RICH) for prefix in list(ROUTES)[:2])),
        Update(EXABGP, announced=(Announced(Prefix.parse("fd00::/122"), 0, PLAIN6),)),
        EndOfRib(EXABGP, "ipv4"),
        EndOfRib(EXABGP, "ipv6"),
        Refresh(EXABGP, "ipv4", "query"),
        Update(EXABGP, withdrawn=tuple(Withdrawn(prefix, 0) for prefix in list(ROUTES)[:2])),
        Update(EXABGP, withdrawn=(Withdrawn(Prefix.parse("fd00::/122"), 0),)),
        PeerDown(EXABGP, "closing connection"),
    ]


def test_our_command_carries_every_attribute_to_the_other_side() -> None:
    # What the test above reads back was sent by these very lines.
    assert wire.announce(ROUTES) == [
        "announce attributes next-hop 10.9.0.2 origin igp local-preference 2147482623 med 7 "
        "originator-id 10.9.0.9 aggregator ( 64512:1.2.3.4 ) atomic-aggregate "
        "as-path [ 65010 65011 ] ( 65020 65021 ) community [ 64512:1 65535:65281 ] "
        "large-community [ 64512:3:4 ] extended-community [ 0x0002fc0000000009 ] "
        "cluster-list [ 10.9.0.8 7.7.7.7 ] attribute [ 0x63 0xe0 0x01020304 ] "
        "nlri 10.65.1.0/26 10.65.1.64/26",
        "announce attributes next-hop fd09::2 origin incomplete local-preference 100 nlri fd00::/122",
    ]


def test_bird_with_add_path_is_read_with_its_path_ids() -> None:
    opened, *_ = [event for event in events("recorded", BIRD) if isinstance(event, PeerOpen)]
    assert opened.add_path == ("ipv4",)
    assert opened.restart == Restart(120, restarting=False, families=(("ipv4", False), ("ipv6", False)))
    updates = [event for event in events("recorded", BIRD) if isinstance(event, Update)]
    routes = {route.prefix: route for update in updates for route in update.announced}
    rich = routes[Prefix.parse("20.0.0.0/26")]
    assert rich.path_id == 2
    assert rich.attributes == Attributes(
        pack("10.9.0.3"),
        local_preference=None,
        as_path=(Segment("sequence", (65001, 65010)),),
        communities=((64512, 7),),
        large_communities=((64512, 1, 2),),
        extended_communities=(0x0002FC0000000009,),
    )
    assert updates[-1].withdrawn == tuple(Withdrawn(Prefix.parse(text), 2) for text in ("20.0.0.64/26", "20.0.0.0/26"))
    assert events("recorded", BIRD)[-1] == PeerDown(BIRD, "notification received (6,2)")


def test_what_a_peer_got_wrong_is_handed_on_for_the_policy_to_judge() -> None:
    first, second, third, fourth, fifth, sixth, seventh, eighth = [
        event for event in events("malformed", EXABGP) if isinstance(event, Update)
    ]
    assert first.announced[0].attributes.origin == "invalid"
    assert second.announced[0].attributes.origin is None
    assert third.announced[0].attributes.next_hop == b""
    assert (fourth.error, fourth.announced, len(fourth.withdrawn)) == ("treat-as-withdraw", (), 1)
    assert fifth.announced[0].prefix == Prefix.parse("0.0.0.0/0")
    assert fifth.announced[0].attributes.next_hop == pack("127.0.0.1")
    assert sixth.announced[0].attributes.unknown == (Unknown(0x63, 0xE0, b"\1\2"),)
    assert seventh.error == "treat-as-withdraw"
    assert (len(eighth.withdrawn), len(eighth.announced)) == (1, 1)


def test_answers_are_told_from_events_and_text() -> None:
    verdicts = [wire.answer(line) for line in lines("recorded") if not line.startswith(b"{")]
    assert Counter(verdicts) == {None: 3, True: 3, False: 2}


def test_bits_behind_a_prefix_do_not_lose_the_line() -> None:
    line = next(line for line in lines("malformed") if b'"no-nexthop"' in line)
    update = wire.event(line.replace(b"20.0.0.0/26", b"20.0.0.9/26"))
    assert isinstance(update, Update)
    assert update.announced[0].prefix == Prefix.parse("20.0.0.0/26")


@pytest.mark.parametrize("line", [b"", b"{", b"\xff{}", b'{"type":'])
def test_a_line_that_is_no_json_is_an_error_of_one_kind(line: bytes) -> None:
    with pytest.raises(ValueError):
        wire.event(line)


def test_unknown_lines_say_nothing() -> None:
    assert wire.event(b'{"type": "signal", "code": "10"}') is None
    assert wire.event(b'{"type": "notification", "notification": "shutdown"}') is None


def test_equal_attributes_of_two_updates_are_one_object() -> None:
    line = next(line for line in lines("recorded") if b"10.65.1.0/26" in line)
    first, second = wire.event(line), wire.event(line)
    assert isinstance(first, Update) and isinstance(second, Update)
    assert first.announced[0].attributes is second.announced[1].attributes


def test_a_command_names_the_peers_it_is_for() -> None:
    routes = {Prefix.parse("10.65.1.0/26"): Attributes(pack("10.9.0.1"))}
    words = f"attributes next-hop 10.9.0.1 origin igp local-preference {LOCAL_PREFERENCE} nlri 10.65.1.0/26"
    assert wire.announce(routes, to=["10.9.0.2"]) == [f"neighbor 10.9.0.2 announce {words}"]
    assert wire.withdraw(routes, to=["10.9.0.2", "fd09::3"]) == [
        f"neighbor 10.9.0.2 , neighbor fd09::3 withdraw {words}"
    ]
    assert wire.end_of_rib("fd09::3", ("ipv4", "ipv6")) == [
        "neighbor fd09::3 announce eor ipv4 unicast",
        "neighbor fd09::3 announce eor ipv6 unicast",
    ]


prefixes = st.one_of(
    st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 32)),
    st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 128)),
).map(lambda drawn: Prefix.of(str(Prefix(*drawn))))
attributes = st.builds(
    Attributes,
    next_hop=st.sampled_from([pack("10.9.0.1"), pack("fd09::1")]),
    med=st.none() | st.integers(0, 9),
)


@given(st.dictionaries(prefixes, attributes, max_size=300))
def test_each_route_is_on_exactly_one_line_of_at_most_a_hundred(routes: dict[Prefix, Attributes]) -> None:
    said: dict[Prefix, str] = {}
    for line in wire.announce(routes):
        words, _, nlri = line.partition(" nlri ")
        assert len(nlri.split()) <= 100
        for text in nlri.split():
            assert said.setdefault(Prefix.parse(text), words) == words
    assert said.keys() == routes.keys()
    for one, other in zip(said, list(said)[1:], strict=False):
        assert (said[one] == said[other]) == (routes[one] == routes[other])


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_come_out_whole_however_the_pipe_cuts_them(wanted: list[bytes], data: Any) -> None:
    stream = b"".join(line + b"\n" for line in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    buffer, got = wire.LineBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += buffer.feed(stream[start:end])
    assert got == wanted


def test_speaker_and_rib_out_survive_their_json() -> None:
    from bgp.speaker import ImportPolicy, Neighbour, Speaker, rib_out_from_json, rib_out_to_json

    speaker = Speaker(
        "n1",
        pack("10.9.0.1"),
        ("10.9.0.1", "fd09::1"),
        179,
        (Neighbour("10.9.0.2", "10.9.0.1", 65001, 64512, kind="global", is_node=False, password="s3cret"),),
        ImportPolicy(
            64512,
            pack("10.9.0.1"),
            frozenset({pack("10.9.0.1")}),
            (Prefix.parse("10.65.1.0/26"),),
            (Prefix.parse("10.65.0.0/16"),),
        ),
    )
    assert Speaker.from_json(json.loads(json.dumps(speaker.to_json()))) == speaker
    assert "s3cret" not in repr(speaker)
    assert rib_out_from_json(json.loads(json.dumps(rib_out_to_json(ROUTES)))) == ROUTES
    assert RICH.as_path_length == 3


def announcement(*next_hops: str) -> list[str]:
    """Return the next hops heard of an UPDATE in which ExaBGP tells these."""
    routes = {next_hop: [{"nlri": "2001:db8:f::/48"}] for next_hop in next_hops}
    update = {"attribute": {"origin": "igp"}, "announce": {"ipv6 unicast": routes}}
    line = {"type": "update", "neighbor": {"address": {"peer": "fd09::3"}, "message": {"update": update}}}
    heard = wire.event(json.dumps(line).encode())
    assert isinstance(heard, Update)
    return [unpack(route.attributes.next_hop) for route in heard.announced]


def test_a_link_local_next_hop_beside_a_global_one_is_not_a_second_announcement() -> None:
    assert announcement("2001:db8::4", "fe80::1") == ["2001:db8::4"]
    assert announcement("fe80::1") == ["fe80::1"]
