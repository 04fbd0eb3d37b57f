"""Lines between agent and sidecar: what is encoded decodes to the same, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import protocol
from bgp.agent_feed import AgentFeed
from bgp.decision import MAX_EQUAL_PATHS
from bgp.events import AnnouncedPath, UpdateReceived, WithdrawnPath
from bgp.rib_in import RibIn
from bgp.speaker import Attributes, LearnedPath, LearnedPaths, LocalNode, Neighbour, Speaker
from net.prefix import Prefix, pack

four = st.builds(
    lambda number, length: Prefix((number >> (32 - length) << (32 - length)).to_bytes(4), length),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
six = st.builds(
    lambda number, length: Prefix((number >> (128 - length) << (128 - length)).to_bytes(16), length),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
prefixes = four | six
learned = st.lists(
    st.builds(LearnedPath, st.binary(min_size=4, max_size=4), st.sampled_from(["192.0.2.2", "fd99::2"])),
    min_size=1,
    max_size=3,
).map(tuple)
attributes = st.builds(Attributes, st.binary(min_size=4, max_size=4), med=st.none() | st.integers(0, 9))
SPEAKER = Speaker(
    "n1",
    pack("192.0.2.1"),
    ("192.0.2.1",),
    179,
    (Neighbour("192.0.2.2", "192.0.2.1", 64512, 64512, password="s3cret", ttl_hops=2),),
    LocalNode(64512, pack("192.0.2.1"), frozenset({pack("192.0.2.1")}), (Prefix.parse("10.65.1.0/26"),)),
)
messages = st.one_of(
    st.builds(protocol.Hello, st.sampled_from(["agent", "observer", "leave"]), st.integers(0)),
    st.just(protocol.Configure(SPEAKER)),
    st.builds(protocol.Announce, st.dictionaries(prefixes, attributes)),
    st.builds(protocol.Withdraw, st.lists(prefixes).map(tuple)),
    st.just(protocol.Complete()),
    st.builds(protocol.Learned, st.dictionaries(prefixes, learned)),
    st.builds(protocol.Withdrawn, st.lists(prefixes).map(tuple)),
    st.builds(protocol.ReplayEnd, st.booleans()),
    st.just(protocol.Converged()),
    st.builds(protocol.Problem, st.text()),
    st.builds(protocol.StatusReply, st.dictionaries(st.text(), st.integers())),
)


@given(messages)
def test_what_is_encoded_decodes_to_the_same_line_by_line(message: protocol.SidecarMessage) -> None:
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"7",
        b"{}",
        b'{"hello": "stranger", "started": 0}',
        b'{"hello": "agent"}',
        b'{"learned": 7}',
        b'{"learned": [[["192.0.2.1"], ["10.0.0.1/8"]]]}',
        b'{"withdraw": ["10.0.0.0/33"]}',
        b'{"configure": {}}',
        b'{"replay_end": "yes"}',
    ],
)
def test_anything_else_is_refused_with_one_kind_of_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of the sidecar's protocol"):
        protocol.decode(line)


@given(st.dictionaries(prefixes, st.integers()))
def test_a_table_cut_into_portions_is_the_table(table: dict[Prefix, int]) -> None:
    portions = list(protocol.cut(table))
    assert all(0 < len(portion) <= protocol.PER_LINE for portion in portions)
    assert {prefix: value for portion in portions for prefix, value in portion.items()} == table


HOPS = [f"192.0.2.{number}" for number in range(2, 5)]
SOME = [Prefix.parse(f"10.66.{number}.0/26") for number in range(4)]
steps = st.lists(st.tuples(st.sampled_from(HOPS), st.sampled_from(SOME), st.booleans(), st.booleans()), max_size=40)


@given(steps)
def test_an_agent_told_at_any_pace_ends_with_what_rib_in_holds(
    some: list[tuple[str, Prefix, bool, bool]],
) -> None:
    """Each step a peer announces or withdraws; then the agent reads what waits, or does not."""
    rib = RibIn()
    rib.configure([Neighbour(hop, "192.0.2.1", 64512, 64512) for hop in HOPS], SPEAKER.local, 0)
    telling = AgentFeed(rib)
    told: dict[Prefix, LearnedPaths] = {}

    def read() -> None:
        while (said := telling.next_messages()) is not None:
            for message in said:
                if isinstance(message, protocol.Learned):
                    assert all(told.get(prefix) != hops for prefix, hops in message.routes.items())
                    told.update(message.routes)
                else:
                    for prefix in message.prefixes:
                        del told[prefix]

    for hop, prefix, announces, reads in some:
        said = UpdateReceived(hop, announced=(AnnouncedPath(prefix, 0, Attributes(pack(hop))),))
        rib.fold(said if announces else UpdateReceived(hop, withdrawn=(WithdrawnPath(prefix, 0),)), 0)
        telling.mark(rib.changed)
        rib.changed.clear()
        if reads:
            read()
    read()
    assert told == {prefix: rib.learned_paths(prefix) for prefix in rib.prefixes()}
    assert all(len(hops) <= MAX_EQUAL_PATHS for hops in told.values())
