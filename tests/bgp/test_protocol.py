"""Lines between agent and sidecar: what is encoded decodes to the same, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp import protocol
from bgp.decision import DecisionStep
from bgp.import_policy import RejectReason
from bgp.path_report import PathReport
from bgp.speaker import Attributes, LearnedPath, LocalNode, Neighbour, Speaker
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
reports = st.builds(
    PathReport,
    st.sampled_from(["192.0.2.2", "fd99::2"]),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    attributes,
    st.none() | st.sampled_from(RejectReason),
    st.none() | st.sampled_from(DecisionStep),
)
messages = st.one_of(
    st.builds(
        protocol.Hello, st.sampled_from(["agent", "observer", "leave", "sidecar"]), st.integers(0), st.integers(0)
    ),
    st.just(protocol.Configure(SPEAKER)),
    st.builds(protocol.Announce, st.dictionaries(prefixes, attributes)),
    st.builds(protocol.Withdraw, st.lists(prefixes).map(tuple)),
    st.just(protocol.Complete()),
    st.builds(protocol.Learned, st.dictionaries(prefixes, learned)),
    st.builds(protocol.Withdrawn, st.lists(prefixes).map(tuple)),
    st.builds(protocol.ReplayEnd, st.booleans()),
    st.just(protocol.Converged()),
    st.builds(protocol.Problem, st.text()),
    st.just(protocol.GetStatus()),
    st.builds(protocol.Paths, prefixes),
    st.builds(protocol.PathsReply, prefixes, st.lists(reports, max_size=3).map(tuple)),
    st.builds(protocol.StatusReply, st.dictionaries(st.text(), st.integers())),
)


@given(messages)
def test_what_is_encoded_decodes_to_the_same_line_by_line(message: protocol.SidecarMessage) -> None:
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert _unordered(protocol.decode(line)) == _unordered(message)


def _unordered(message: protocol.SidecarMessage) -> object:
    return sorted(message.prefixes) if isinstance(message, protocol.Withdrawn) else message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"7",
        b"{}",
        b'{"hello": "stranger", "started": 0}',
        b'{"hello": "agent", "version": "newest"}',
        b'{"hello": "agent", "version": 1e400}',
        b'{"learned": 7}',
        b'{"learned": [[[["192.0.2.1", "192.0.2.1"]], ["10.0.0.0/8"]]]}',
        b'{"withdrawn": [["ipv4", 8, "0a000001"]]}',
        b'{"withdraw": ["10.0.0.0/33"]}',
        b'{"configure": {}}',
        b'{"replay_end": "yes"}',
        b"[" * 100_000,
        b'{"announce":' * 50_000,
    ],
)
def test_anything_else_is_refused_with_one_kind_of_error(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of the sidecar's protocol"):
        protocol.decode(line)


def test_a_field_of_a_session_that_is_not_known_is_refused_and_not_left_out() -> None:
    """It may be one without which the session must not come up, as a password is; and the refusal tells no value."""
    told = json.loads(protocol.encode(protocol.Configure(SPEAKER)))
    told["configure"]["neighbours"][0]["better_password"] = "s3cret"
    with pytest.raises(ValueError, match="Unexpected keyword argument 'better_password'") as refused:
        protocol.decode(json.dumps(told).encode())
    assert "s3cret" not in str(refused.value)


def test_a_line_that_is_refused_is_told_by_its_beginning_without_what_a_session_holds() -> None:
    line = b'{"configure":{"neighbours":[{"password":"s3cret","address":"192.0.2.2"}]}}'
    with pytest.raises(ValueError, match="not a line of the sidecar's protocol") as refused:
        protocol.decode(line)
    assert "s3cret" not in str(refused.value)


@given(st.dictionaries(prefixes, st.integers()))
def test_a_table_cut_into_portions_is_the_table(table: dict[Prefix, int]) -> None:
    portions = list(protocol.cut(table))
    assert all(0 < len(portion) <= protocol.PER_LINE for portion in portions)
    assert {prefix: value for portion in portions for prefix, value in portion.items()} == table
