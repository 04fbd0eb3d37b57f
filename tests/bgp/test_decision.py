"""Best path, step by step, and that no order of arrival matters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bgp.decision import MAX_EQUAL_PATHS, CandidatePath, DecisionStep, best_paths, learned_paths, lost_at
from bgp.speaker import LOCAL_PREFERENCE, AsPathSegment, Attributes, LearnedPath
from net.prefix import pack

HOP_A, HOP_B = pack("192.0.2.1"), pack("192.0.2.2")
PLAIN = Attributes(HOP_B)


def candidate(attributes: Attributes, external: bool, peer: str = "192.0.2.9") -> CandidatePath:
    return CandidatePath(attributes, external, peer)


def next_hops(paths: Iterable[CandidatePath]) -> tuple[bytes, ...]:
    return tuple(path.next_hop for path in learned_paths(list(paths)))


def as_path(*numbers: int) -> tuple[AsPathSegment, ...]:
    return (AsPathSegment("sequence", numbers),)


def winner(*paths: CandidatePath) -> tuple[bytes, ...]:
    forwards, backwards = next_hops(paths), next_hops(reversed(paths))
    assert forwards == backwards
    return forwards


def against_plain(external: bool = False, **changes: object) -> tuple[bytes, ...]:
    return winner(candidate(replace(PLAIN, next_hop=HOP_A, **changes), external), candidate(PLAIN, external))


def test_higher_local_preference_wins_over_everything_else() -> None:
    assert against_plain(local_preference=LOCAL_PREFERENCE + 1, as_path=as_path(1, 2), origin="incomplete") == (HOP_A,)


def test_a_path_without_preference_counts_as_a_calico_nodes_normal_one() -> None:
    assert against_plain(local_preference=None) == (HOP_A, HOP_B)
    assert against_plain(local_preference=100) == (HOP_B,)


def test_shorter_as_path_wins_and_a_set_counts_once() -> None:
    assert against_plain(as_path=as_path(65001)) == (HOP_B,)
    two = candidate(replace(PLAIN, as_path=as_path(1, 2)), external=True)
    one_and_a_set = candidate(
        replace(PLAIN, next_hop=HOP_A, as_path=(*as_path(1), AsPathSegment("set", (7, 8, 9)))), True
    )
    assert winner(two, one_and_a_set) == (HOP_A, HOP_B)


def test_origin_igp_before_egp_before_incomplete() -> None:
    assert against_plain(origin="egp") == (HOP_B,)
    assert against_plain(origin="incomplete") == (HOP_B,)


def test_med_compares_only_paths_of_one_neighbouring_as() -> None:
    def via(hop: bytes, asn: int, med: int) -> CandidatePath:
        return candidate(Attributes(hop, as_path=as_path(asn), med=med), external=True)

    assert winner(via(HOP_A, 65001, 10), via(HOP_B, 65001, 5)) == (HOP_B,)
    assert winner(via(HOP_A, 65001, 10), via(HOP_B, 65002, 5)) == (HOP_A, HOP_B)


def test_external_wins_over_internal() -> None:
    path = replace(PLAIN, as_path=as_path(65001))
    assert winner(candidate(path, external=False), candidate(replace(path, next_hop=HOP_A), external=True)) == (HOP_A,)


def test_equal_paths_are_all_kept_lowest_next_hop_first_and_each_once() -> None:
    a, b = candidate(replace(PLAIN, next_hop=HOP_A), False), candidate(PLAIN, False)
    assert winner(b, a, b) == (HOP_A, HOP_B)


def test_more_equal_paths_than_the_kernel_should_spread_over_are_cut() -> None:
    paths = [candidate(Attributes(bytes((192, 0, 2, n))), False) for n in range(MAX_EQUAL_PATHS + 5)]
    assert next_hops(paths) == tuple(bytes((192, 0, 2, n)) for n in range(MAX_EQUAL_PATHS))


def test_no_paths_no_next_hops() -> None:
    assert next_hops(()) == ()


hops = st.integers(1, 4).map(lambda n: bytes((192, 0, 2, n)))
attributes = st.builds(
    Attributes,
    next_hop=hops,
    local_preference=st.sampled_from([None, 100, LOCAL_PREFERENCE]),
    origin=st.sampled_from(["igp", "egp", "incomplete"]),
    as_path=st.sampled_from([(), as_path(1), as_path(2), as_path(1, 2)]),
    med=st.sampled_from([None, 0, 5]),
)
paths = st.lists(
    st.builds(CandidatePath, attributes, st.booleans(), st.sampled_from(["192.0.2.8", "192.0.2.9"])),
    min_size=1,
    max_size=6,
)


@given(paths, st.randoms())
def test_the_order_of_arrival_decides_nothing(some: list[CandidatePath], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert next_hops(shuffled) == next_hops(some)


@given(paths)
def test_what_loses_once_is_not_missed(some: list[CandidatePath]) -> None:
    """Withdrawing a path that was not among the best changes nothing, unless its MED hid others."""
    best = best_paths(some)
    assert best
    assert set(best) <= set(some)
    assert next_hops(best) == next_hops(some)


def test_paths_of_two_peers_through_one_next_hop_are_both_reported() -> None:
    one, other = candidate(PLAIN, False, "192.0.2.8"), candidate(PLAIN, False, "192.0.2.9")
    assert learned_paths([other, one]) == (LearnedPath(HOP_B, "192.0.2.8"), LearnedPath(HOP_B, "192.0.2.9"))


def test_equal_sets_of_paths_are_one_object() -> None:
    assert learned_paths([candidate(PLAIN, False)]) is learned_paths([candidate(PLAIN, False)])


@pytest.mark.parametrize(
    ("loser", "step"),
    [
        ({"local_preference": 100}, DecisionStep.LOCAL_PREFERENCE),
        ({"as_path": as_path(1, 2)}, DecisionStep.AS_PATH_LENGTH),
        ({"origin": "egp"}, DecisionStep.ORIGIN),
        ({"med": 5}, DecisionStep.MED),
    ],
)
def test_a_loser_is_told_at_which_step_it_lost(loser: dict[str, Any], step: DecisionStep) -> None:
    winner = replace(PLAIN, as_path=as_path(1))
    paths = [candidate(winner, True), candidate(replace(winner, **loser), True)]
    assert lost_at(paths) == (None, step)
    assert lost_at(paths[::-1]) == (step, None)


def test_an_internal_path_loses_to_an_external_one() -> None:
    path = replace(PLAIN, as_path=as_path(1))
    assert lost_at([candidate(path, False), candidate(path, True, "192.0.2.8")]) == (DecisionStep.EXTERNAL, None)


def test_an_equal_path_beyond_the_next_hops_in_use_is_told_so() -> None:
    paths = [candidate(Attributes(bytes((192, 0, 2, n))), False) for n in range(MAX_EQUAL_PATHS + 1)]
    assert lost_at(paths) == (None,) * MAX_EQUAL_PATHS + (DecisionStep.MULTIPATH_LIMIT,)


@given(paths)
def test_exactly_the_paths_that_lost_nowhere_are_the_best(some: list[CandidatePath]) -> None:
    best = best_paths(some)
    assert all((step is None) == (path in best) for path, step in zip(some, lost_at(some), strict=True))


@given(paths)
def test_without_those_that_lost_the_decision_is_the_same(some: list[CandidatePath]) -> None:
    left = [path for path, step in zip(some, lost_at(some), strict=True) if step is None]
    assert learned_paths(left) == learned_paths(some)
    assert set(lost_at(left)) == {None}
