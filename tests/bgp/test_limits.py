"""What one peer may cost, at each limit and one beyond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bgp.import_policy import RejectReason
from bgp.limits import (
    LIFTED_BY_WITHDRAWALS,
    VALUES_OF_A_PATH,
    WARN_AT,
    Share,
    Usage,
    next_hop_limit,
    value_limit,
    values_of,
)
from bgp.speaker import DEFAULT_PREFIX_LIMIT, AsPathSegment, Attributes, UnknownAttribute
from net.prefix import pack

PLAIN = Attributes(pack("192.0.2.2"))
LONG = replace(PLAIN, as_path=(AsPathSegment("sequence", tuple(range(1, VALUES_OF_A_PATH + 1))),))


def through(number: int) -> Attributes:
    return Attributes(pack(f"198.51.{number >> 8}.{number & 255}"))


def full_of(*stored: Attributes) -> Usage:
    usage = Usage()
    for attributes in stored:
        usage.replace(None, attributes)
    return usage


def test_a_path_more_than_the_limit_is_refused_and_one_in_the_place_of_another_is_not() -> None:
    usage = full_of(PLAIN, PLAIN)
    assert usage.exceeded(None, PLAIN, 3) is None
    assert usage.exceeded(None, PLAIN, 2) is RejectReason.OVER_LIMIT
    assert usage.exceeded(PLAIN, through(1), 2) is None


def test_a_next_hop_more_than_the_limit_is_refused_and_a_known_one_is_not() -> None:
    usage = full_of(*map(through, range(1000)))
    assert usage.exceeded(None, through(999), 4000) is None
    assert usage.exceeded(None, through(1000), 4000) is RejectReason.TOO_MANY_NEXT_HOPS
    assert usage.exceeded(None, through(1000), 4004) is None
    assert usage.exceeded(through(0), through(1000), 4000) is None, "the one before is given back"
    usage.replace(through(0), None)
    assert usage.exceeded(None, through(1000), 4000) is None


def test_a_path_that_says_too_much_is_refused_alone_and_together_with_others() -> None:
    longer = replace(LONG, communities=((1, 1),))
    assert Usage().exceeded(None, LONG, 100) is None
    assert Usage().exceeded(None, longer, 100) is RejectReason.TOO_LONG
    usage = full_of(*5 * [LONG])
    assert value_limit(100) == 5 * VALUES_OF_A_PATH
    assert usage.exceeded(None, PLAIN, 100) is None
    assert usage.exceeded(None, replace(PLAIN, communities=((1, 1),)), 100) is RejectReason.TOO_MUCH
    assert usage.exceeded(LONG, replace(PLAIN, communities=((1, 1),)), 100) is None


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, VALUES_OF_A_PATH)), max_size=60),
)
def test_what_is_refused_leaves_a_limit_near_so_that_no_peer_is_asked_again_and_again(
    limit: int, paths: list[tuple[int, int, int]]
) -> None:
    usage, held = Usage(), dict[int, Attributes]()
    for key, hop, length in paths:
        path = replace(through(hop), as_path=(AsPathSegment("sequence", (7,) * length),))
        reason = usage.exceeded(held.get(key), path, limit)
        usage.replace(held.pop(key, None), path if reason is None else None)
        if reason is None:
            held[key] = path
        assert reason not in LIFTED_BY_WITHDRAWALS or any(share.part >= WARN_AT for share in usage.shares(limit))


@given(
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, VALUES_OF_A_PATH + 1)), max_size=8),
    st.integers(0, 1500),
    st.integers(0, VALUES_OF_A_PATH + 1),
    st.integers(0, 12),
)
def test_there_is_room_for_as_many_as_may_come_one_by_one(
    stored: list[tuple[int, int]], hop: int, length: int, limit: int
) -> None:
    def path(hop: int, length: int) -> Attributes:
        return replace(through(hop), as_path=(AsPathSegment("sequence", (7,) * length),))

    one_by_one = full_of(*(path(*each) for each in stored))
    together, new = full_of(*(path(*each) for each in stored)), path(hop, length)
    room, taken = together.room(new, limit), 0
    while one_by_one.exceeded(None, new, limit) is None:
        one_by_one.replace(None, new)
        taken += 1
    assert room == taken
    together.add(new, room)
    assert list(together.shares(limit)) == list(one_by_one.shares(limit))


def test_what_is_replaced_or_withdrawn_is_given_back() -> None:
    usage = full_of(LONG, PLAIN)
    usage.replace(LONG, PLAIN)
    usage.replace(PLAIN, None)
    assert [share.used for share in usage.shares(100)] == [1, 1, 0]
    usage.replace(PLAIN, None)
    assert list(usage.shares(100)) == [
        Share("paths", 0, 100),
        Share("next hops", 0, 100),
        Share("AS numbers and communities", 0, 5000),
    ]


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ({"as_path": (AsPathSegment("set", (1, 2)), AsPathSegment("sequence", (3,)))}, 3),
        ({"communities": ((1, 1),), "large_communities": ((1, 1, 1),), "extended_communities": (7, 8)}, 4),
        ({"cluster_list": (b"abcd",)}, 1),
        ({"unknown": (UnknownAttribute(99, 0xC0, bytes(80)),)}, 11),
    ],
)
def test_everything_that_may_be_long_counts(said: dict[str, object], values: int) -> None:
    assert values_of(replace(PLAIN, **said)) == values


def test_by_default_a_reflector_may_hand_on_a_cluster_of_5000_nodes() -> None:
    assert (DEFAULT_PREFIX_LIMIT, next_hop_limit(DEFAULT_PREFIX_LIMIT)) == (20000, 5000)
    assert str(Share("paths", 15000, 20000)) == "15000 of 20000 paths"
