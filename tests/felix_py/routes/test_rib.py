"""The RIB: the strongest resolved route wins, and only what is wanted anew counts as changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from felix_py.routes.rib import Rib, Source, candidates
from kernel.route import RouteSpec
from net.prefix import Prefix
from tests.felix_py.fake_node import BLOCK, DEVICE, HOLE, LEARNED, POD, REMOTE

UNRESOLVED = RouteSpec(81, metric=1030)


def test_pod_route_beats_the_blackhole_of_its_block() -> None:
    rib = Rib()
    rib.put(Source.BLOCKS, POD, HOLE)
    rib.put(Source.PODS, POD, DEVICE)
    assert (rib.best(POD), rib.best_source(POD)) == (DEVICE, Source.PODS)
    rib.remove(Source.PODS, POD)
    assert (rib.best(POD), rib.best_source(POD)) == (HOLE, Source.BLOCKS)


def test_a_route_whose_way_is_not_there_yet_leaves_the_place_to_the_next() -> None:
    rib = Rib()
    rib.put(Source.LEARNED, BLOCK, UNRESOLVED)
    assert (rib.best(BLOCK), rib.best_source(BLOCK)) == (None, None)
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    assert rib.best(BLOCK) == HOLE
    assert list(rib.unresolved()) == [(Source.LEARNED, BLOCK)]


def test_the_same_again_changes_nothing() -> None:
    rib = Rib()
    rib.state(Source.BLOCKS, {BLOCK: HOLE})
    assert set(rib.take_changed()) == {BLOCK}
    rib.state(Source.BLOCKS, {BLOCK: HOLE})
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    rib.put_all(Source.BLOCKS, {BLOCK: HOLE})
    rib.remove(Source.BLOCKS, POD)
    assert not rib.take_changed()


def test_what_a_source_states_whole_replaces_what_it_stated_before() -> None:
    rib = Rib()
    rib.state(Source.BLOCKS, {BLOCK: HOLE})
    rib.take_changed()
    rib.state(Source.BLOCKS, {REMOTE: HOLE})
    assert set(rib.take_changed()) == {BLOCK, REMOTE}
    assert rib.prefixes() == {REMOTE}


def test_many_routes_of_a_source_are_added_to_its_others() -> None:
    rib = Rib()
    rib.put(Source.LEARNED, BLOCK, LEARNED)
    rib.take_changed()
    assert rib.put_all(Source.LEARNED, {REMOTE: LEARNED}) == set()
    assert set(rib.take_changed()) == {REMOTE}
    assert dict(rib.wanted(Source.LEARNED)) == {BLOCK: LEARNED, REMOTE: LEARNED}


def test_of_many_routes_of_a_source_only_those_that_are_others_have_changed() -> None:
    rib = Rib()
    rib.put_all(Source.LEARNED, {BLOCK: LEARNED, REMOTE: LEARNED})
    rib.take_changed()
    stated = {POD: LEARNED, BLOCK: LEARNED._replace(), REMOTE: UNRESOLVED}
    assert rib.put_all(Source.LEARNED, stated) == {BLOCK, REMOTE}
    assert list(rib.take_changed()) == [POD, REMOTE]
    rib.remove_all(Source.LEARNED, [REMOTE, Prefix.parse("10.66.0.0/26"), BLOCK])
    assert list(rib.take_changed()) == [REMOTE, BLOCK]
    assert dict(rib.wanted(Source.LEARNED)) == {POD: LEARNED}


def test_changes_are_taken_in_the_order_in_which_they_came() -> None:
    rib = Rib()
    prefixes = [Prefix.parse(f"10.65.{n}.0/26") for n in (9, 1, 5, 3)]
    for prefix in prefixes:
        rib.put(Source.LEARNED, prefix, LEARNED)
    assert list(rib.take_changed()) == prefixes


def test_every_sources_route_for_a_prefix_is_listed_the_strongest_first() -> None:
    rib = Rib()
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    rib.put(Source.LEARNED, BLOCK, UNRESOLVED)
    assert candidates(rib, BLOCK) == [(Source.LEARNED, UNRESOLVED), (Source.BLOCKS, HOLE)]


steps = st.lists(
    st.tuples(
        st.sampled_from(list(Source)),
        st.sampled_from([BLOCK, POD, REMOTE]),
        st.sampled_from([HOLE, DEVICE, LEARNED, UNRESOLVED, None]),
    )
)


@given(steps)
def test_whatever_is_not_among_the_changed_has_the_best_route_that_it_had(
    history: list[tuple[Source, Prefix, RouteSpec | None]],
) -> None:
    rib = Rib()
    for source, prefix, spec in history:
        before = {each: rib.best(each) for each in (BLOCK, POD, REMOTE)}
        if spec is None:
            rib.remove(source, prefix)
        else:
            rib.put(source, prefix, spec)
        changed = rib.take_changed()
        assert all(rib.best(each) == best for each, best in before.items() if each not in changed)
        assert rib.count() == sum(rib.best(each) is not None for each in before)
