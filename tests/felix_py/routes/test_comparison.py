"""A comparison of the kernel's routes with the RIB's best finds what a look at both tables finds, and keeps little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felix_py.routes.comparison import Comparison, shows_the_best
from felix_py.routes.fib import Ownership
from felix_py.routes.rib import Rib, Source
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix

OURS = Ownership()
POD, BLOCK, REMOTE = map(Prefix.parse, ("10.65.1.2/32", "10.65.1.0/26", "10.65.2.0/26"))
DEFAULT, UNWANTED, UNWANTED_BLOCK = map(Prefix.parse, ("0.0.0.0/0", "10.65.1.9/32", "10.65.9.0/26"))
DEVICE = RouteSpec(80, 1030, hops=(NextHop(7),), scope=253)
HOLE = RouteSpec(80, 1030, BLACKHOLE)
LEARNED = RouteSpec(81, 1030, hops=(NextHop(2),))
UNRESOLVED, OF_BIRD = LEARNED._replace(hops=()), RouteSpec(12, 32, hops=(NextHop(2),))
WANTED = ((Source.PODS, POD, DEVICE), (Source.BLOCKS, BLOCK, HOLE), (Source.LEARNED, REMOTE, LEARNED))

PREFIXES = st.sampled_from((POD, BLOCK, REMOTE))
SPECS = st.sampled_from((DEVICE, HOLE, LEARNED))


def rib(*wanted: tuple[Source, Prefix, RouteSpec]) -> Rib:
    made = Rib()
    for source, prefix, spec in wanted:
        made.put(source, prefix, spec)
    return made


def test_of_a_table_that_is_right_pods_and_blocks_are_kept() -> None:
    found = Comparison(rib(*WANTED), OURS)
    found.take([(REMOTE, LEARNED), (REMOTE, OF_BIRD), (POD, DEVICE)])
    assert not found.lacks_nothing
    found.take([(BLOCK, HOLE)])
    assert found.lacks_nothing
    assert found.kept == {POD: DEVICE, BLOCK: HOLE}


def test_what_is_another_or_is_not_wanted_is_kept_and_counts_as_lacking() -> None:
    found = Comparison(rib(*WANTED), OURS, exact=True)
    stale = Prefix.parse("10.65.3.0/26")
    found.take([(REMOTE, HOLE), (stale, LEARNED), (POD, DEVICE)])
    assert not found.lacks_nothing
    assert found.kept == {REMOTE: HOLE, stale: LEARNED, POD: DEVICE}
    assert found.lacking() == {BLOCK}


@pytest.mark.parametrize(
    ("prefix", "match", "shown"),
    [
        (REMOTE, (REMOTE, LEARNED), True),
        (REMOTE, (REMOTE, OF_BIRD), False),
        (REMOTE, (Prefix.parse("10.65.2.0/32"), DEVICE), False),
        (REMOTE, (DEFAULT, OF_BIRD), False),
        (REMOTE, None, False),
        (BLOCK, None, False),
        (UNWANTED, None, True),
        (UNWANTED, (DEFAULT, OF_BIRD), True),
        (UNWANTED, (UNWANTED, DEVICE), False),
        (UNWANTED, (UNWANTED, OF_BIRD), False),
        (UNWANTED_BLOCK, None, False),
        (UNWANTED_BLOCK, (DEFAULT, OF_BIRD), True),
        (UNWANTED_BLOCK, (Prefix.parse("10.65.9.0/32"), DEVICE), False),
    ],
)
def test_what_an_address_matches_shows_the_best_route_or_says_nothing(
    prefix: Prefix, match: tuple[Prefix, RouteSpec] | None, shown: bool
) -> None:
    assert shows_the_best(rib(*WANTED), prefix, match) == shown


@given(
    st.lists(st.tuples(st.sampled_from(Source), PREFIXES, SPECS | st.just(UNRESOLVED))),
    st.dictionaries(PREFIXES, SPECS),
)
def test_it_finds_what_a_look_at_both_tables_finds(
    wanted: list[tuple[Source, Prefix, RouteSpec]], held: dict[Prefix, RouteSpec]
) -> None:
    table = rib(*wanted)
    wrong = {one for one in table.prefixes() | held.keys() if table.best(one) != held.get(one)}
    quick, exact = Comparison(table, OURS), Comparison(table, OURS, exact=True)
    for comparison in (quick, exact):
        comparison.take(held.items())
    assert quick.lacks_nothing == all(
        one in held and table.best(one) == held[one] for one in table.prefixes() if table.best(one)
    )
    looked_at = exact.kept.keys() | exact.lacking()
    assert {one for one in looked_at if table.best(one) != exact.kept.get(one)} == wrong
