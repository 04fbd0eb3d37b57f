"""Announcements as ExaBGP's commands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgp import exabgp_commands
from bgp.speaker import (
    LOCAL_PREFERENCE,
    Attributes,
)
from net.prefix import Prefix, pack
from tests.bgp.attributes import ROUTES


def test_our_command_carries_every_attribute_to_the_other_side() -> None:
    # What the test above reads back was sent by these very lines.
    assert exabgp_commands.announce(ROUTES) == [
        "announce attributes next-hop 10.9.0.2 origin igp local-preference 2147482623 med 7 "
        "originator-id 10.9.0.9 aggregator ( 64512:1.2.3.4 ) atomic-aggregate "
        "as-path [ 65010 65011 ] ( 65020 65021 ) community [ 64512:1 65535:65281 ] "
        "large-community [ 64512:3:4 ] extended-community [ 0x0002fc0000000009 ] "
        "cluster-list [ 10.9.0.8 7.7.7.7 ] attribute [ 0x63 0xe0 0x01020304 ] "
        "nlri 10.65.1.0/26 10.65.1.64/26",
        "announce attributes next-hop fd09::2 origin incomplete local-preference 100 nlri fd00::/122",
    ]


def test_a_command_names_the_peers_it_is_for() -> None:
    routes = {Prefix.parse("10.65.1.0/26"): Attributes(pack("10.9.0.1"))}
    words = f"attributes next-hop 10.9.0.1 origin igp local-preference {LOCAL_PREFERENCE} nlri 10.65.1.0/26"
    assert exabgp_commands.announce(routes, to=["10.9.0.2"]) == [f"neighbor 10.9.0.2 announce {words}"]
    assert exabgp_commands.withdraw(routes, to=["10.9.0.2", "fd09::3"]) == [
        f"neighbor 10.9.0.2 , neighbor fd09::3 withdraw {words}"
    ]


def test_few_peers_have_an_end_of_rib_each_and_many_share_one() -> None:
    assert exabgp_commands.end_of_rib({"10.9.0.2": ["ipv4"], "fd09::3": ["ipv4", "ipv6"]}) == [
        "neighbor 10.9.0.2 announce eor ipv4 unicast",
        "neighbor fd09::3 announce eor ipv4 unicast",
        "neighbor fd09::3 announce eor ipv6 unicast",
    ]
    many = [f"10.9.0.{number}" for number in range(11)]
    assert exabgp_commands.end_of_rib({peer: ["ipv4"] for peer in many}) == [
        f"{' , '.join(f'neighbor {peer}' for peer in many)} announce eor ipv4 unicast"
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
    sent: dict[Prefix, str] = {}
    for line in exabgp_commands.announce(routes):
        words, _, nlri = line.partition(" nlri ")
        assert len(nlri.split()) <= 100
        for text in nlri.split():
            assert sent.setdefault(Prefix.parse(text), words) == words
    assert sent.keys() == routes.keys()
    for one, other in zip(sent, list(sent)[1:], strict=False):
        assert (sent[one] == sent[other]) == (routes[one] == routes[other])
