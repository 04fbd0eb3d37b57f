"""The FIB and its plan: any kernel becomes what the RIB wants in one batch, and what is not ours stays."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from felix_py.routes.fib import Fib, Ownership, Plan, Round, steps, unwanted
from felix_py.routes.rib import Rib, Source
from kernel.events import RouteChanged
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix

OURS = Ownership()
BLOCK = Prefix.parse("10.65.1.0/26")
POD = Prefix.parse("10.65.1.2/32")
REMOTE = Prefix.parse("10.65.2.0/26")
HOLE = RouteSpec(80, kind=BLACKHOLE, metric=1030)
DEVICE = RouteSpec(80, hops=(NextHop(7),), metric=1030, scope=253)
LEARNED = RouteSpec(81, hops=(NextHop(2, bytes([192, 0, 2, 2])),), metric=1030)
UNRESOLVED = RouteSpec(81, metric=1030)
ALL = {80, 81}


class RouteTable:
    """A kernel as far as the FIB is concerned: routes by prefix and metric, replaced in place."""

    def __init__(self, routes: Iterable[tuple[Prefix, RouteSpec]] = ()) -> None:
        self.routes = {(prefix, spec.metric): spec for prefix, spec in routes}

    def carry_out(self, plan: Plan) -> None:
        for prefix, spec in plan.put:
            self.routes[prefix, spec.metric] = spec
        for prefix, spec in plan.remove:
            held = self.routes.get((prefix, spec.metric))
            if held is not None and held.protocol == spec.protocol:
                del self.routes[prefix, spec.metric]

    def dump(self) -> list[tuple[Prefix, RouteSpec]]:
        return [(prefix, spec) for (prefix, _), spec in self.routes.items()]


def event(prefix: Prefix, spec: RouteSpec, *, gone: bool = False, replaced: bool = False) -> RouteChanged:
    return RouteChanged(prefix, spec, gone=gone, replaced=replaced)


def test_nothing_is_removed_before_its_protocol_may_be() -> None:
    rib, fib = Rib(), Fib()
    fib.load([(BLOCK, LEARNED)])
    assert not steps(rib, fib, [BLOCK], removable={80})
    assert steps(rib, fib, [BLOCK], removable={81}).remove == [(BLOCK, LEARNED)]


def test_a_prefix_is_unwanted_while_no_source_has_a_route_for_it_that_leads_anywhere() -> None:
    rib = Rib()
    rib.put_all(Source.LEARNED, {POD: LEARNED._replace(hops=()), BLOCK: LEARNED})
    rib.put(Source.BLOCKS, REMOTE, HOLE)
    other = Prefix.parse("10.99.0.0/26")
    assert [*unwanted(rib, [REMOTE, POD, BLOCK, other])] == [POD, other]
    rib.put(Source.PODS, POD, DEVICE)
    assert [*unwanted(rib, [REMOTE, POD, BLOCK, other])] == [other]


def test_a_route_is_ours_only_with_our_protocol_and_our_metric() -> None:
    fib = Fib()
    felix = RouteSpec(80, hops=(NextHop(7),), metric=1024)
    operator = RouteSpec(3, hops=(NextHop(7),), metric=1030)
    fib.load([(POD, felix), (BLOCK, operator)])
    assert not fib.held
    assert fib.conflicting == {BLOCK: operator}


def test_a_foreign_route_at_our_metric_that_was_there_first_is_left_alone() -> None:
    rib, fib = Rib(), Fib()
    fib.load([(BLOCK, RouteSpec(3, hops=(NextHop(7),), metric=1030))])
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    assert not steps(rib, fib, rib.take_changed(), ALL)
    assert fib.fold(event(BLOCK, RouteSpec(3, hops=(NextHop(7),), metric=1030), gone=True)) == BLOCK
    assert steps(rib, fib, [BLOCK], ALL).put == [(BLOCK, HOLE)]


def test_a_route_of_ours_that_is_deleted_or_written_over_is_put_again() -> None:
    for change in (
        event(BLOCK, HOLE, gone=True),
        event(BLOCK, RouteSpec(3, hops=(NextHop(7),), metric=1030), replaced=True),
        event(BLOCK, RouteSpec(80, hops=(NextHop(7),), metric=1030), replaced=True),
    ):
        rib, fib = Rib(), Fib()
        rib.put(Source.BLOCKS, BLOCK, HOLE)
        fib.load([(BLOCK, HOLE)])
        assert fib.fold(change) == BLOCK
        assert steps(rib, fib, [BLOCK], ALL).put == [(BLOCK, HOLE)]


def test_a_foreign_route_beside_ours_is_known_and_not_touched() -> None:
    rib, fib = Rib(), Fib()
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    fib.load([(BLOCK, HOLE)])
    static = RouteSpec(4, hops=(NextHop(7),), metric=0)
    assert fib.fold(event(BLOCK, static)) is None
    assert fib.overriding(BLOCK) == static
    assert not steps(rib, fib, [BLOCK], ALL)
    fib.fold(event(BLOCK, static, gone=True))
    assert fib.overriding(BLOCK) is None


def test_a_device_that_goes_takes_its_routes_along() -> None:
    fib = Fib()
    fib.load([(POD, DEVICE), (BLOCK, HOLE)])
    assert fib.forget_device(7) == {POD}
    assert fib.held == {BLOCK: HOLE}


def test_a_device_that_goes_takes_the_routes_of_others_along_but_for_their_other_hops() -> None:
    fib, both = Fib(), (NextHop(7), NextHop(8))
    static, wide = RouteSpec(4, hops=(NextHop(7),), metric=0), RouteSpec(4, hops=both, metric=5)
    fib.load([(POD, static), (POD, wide), (BLOCK, static), (REMOTE, static._replace(metric=1030))])
    assert fib.forget_device(7) == {REMOTE}  # ours may be put there now
    assert not fib.conflicting
    assert fib.foreign == {POD: {5: wide._replace(hops=(NextHop(8),))}}
    assert fib.forget_device(8, among=[BLOCK]) == set()
    assert not fib.foreign


def test_a_device_whose_routes_were_written_or_came_by_events_takes_them_along_too() -> None:
    fib = Fib()
    fib.carried_out(Plan(put=[(POD, DEVICE)]))
    fib.fold(event(BLOCK, RouteSpec(4, hops=(NextHop(8), NextHop(8)), metric=0)))
    fib.fold(event(REMOTE, RouteSpec(4, hops=(NextHop(9),), metric=1030)))
    assert [fib.forget_device(device) for device in (7, 8, 9, 7)] == [{POD}, set(), {REMOTE}, set()]
    assert not fib.held and not fib.foreign and not fib.conflicting


prefixes = st.sampled_from([Prefix.parse(f"10.65.{n}.0/26") for n in range(4)] + [POD, Prefix.parse("fd00::1/128")])
wanted_specs = st.sampled_from([HOLE, DEVICE, LEARNED, UNRESOLVED])


def test_devices_may_go_in_any_order_that_the_kernel_lists_with_one_prefix_and_metric() -> None:
    """Every device that is up has fe80::/64 of metric 256."""
    link_local = Prefix.parse("fe80::/64")
    routes = [RouteSpec(2, hops=(NextHop(device),), metric=256) for device in (7, 8)]
    for order in ((7, 8), (8, 7)):
        fib = Fib(OURS)
        fib.load((link_local, spec) for spec in routes)
        assert [fib.forget_device(device) for device in order] == [set(), set()]
        assert not fib.foreign


foreign_specs = st.sampled_from(
    [RouteSpec(3, hops=(NextHop(9),), metric=0), RouteSpec(80, hops=(NextHop(9),), metric=1024)]
)
held_specs = st.sampled_from([HOLE, DEVICE, LEARNED])


@given(
    wanted=st.dictionaries(st.tuples(st.sampled_from(list(Source)), prefixes), wanted_specs),
    held=st.dictionaries(prefixes, held_specs),
    foreign=st.dictionaries(prefixes, foreign_specs),
)
def test_any_kernel_becomes_what_is_wanted_in_one_batch_and_foreign_routes_stay(
    wanted: dict[tuple[Source, Prefix], RouteSpec], held: dict[Prefix, RouteSpec], foreign: dict[Prefix, RouteSpec]
) -> None:
    rib, fib = Rib(), Fib()
    kernel = RouteTable([*held.items(), *foreign.items()])
    fib.load(kernel.dump())
    for (source, prefix), spec in wanted.items():
        rib.put(source, prefix, spec)
    kernel.carry_out(plan := steps(rib, fib, {*rib.take_changed(), *fib.held}, ALL))
    fib.carried_out(plan)
    ours = {prefix: spec for prefix, spec in kernel.dump() if OURS.has(spec)}
    assert ours == fib.held == {p: best for p in rib.prefixes() if (best := rib.best(p)) is not None}
    assert {p: spec for p, spec in kernel.dump() if not OURS.has(spec)} == foreign
    assert not steps(rib, fib, rib.prefixes() | fib.held.keys(), ALL)


@given(
    wanted=st.dictionaries(st.tuples(st.sampled_from(list(Source)), prefixes), wanted_specs),
    held=st.dictionaries(prefixes, held_specs),
    portion=st.integers(1, 3),
)
def test_planned_in_portions_the_steps_are_the_same_and_puts_come_before_removals(
    wanted: dict[tuple[Source, Prefix], RouteSpec], held: dict[Prefix, RouteSpec], portion: int
) -> None:
    rib, fib = Rib(), Fib()
    fib.load(held.items())
    for (source, prefix), spec in wanted.items():
        rib.put(source, prefix, spec)
    due = dict.fromkeys([*rib.take_changed(), *held]).keys()
    whole = steps(rib, fib, due, ALL)
    one = Round(rib, fib, due, ALL, portion=portion)
    assert list(one.puts()) == whole.put
    assert fib.held == held | dict(whole.put), "nothing is removed yet"
    assert list(one.removals()) == whole.remove
    assert one.before() == whole.before()
    assert not steps(rib, fib, due, ALL)


def test_what_is_not_taken_yet_is_neither_planned_nor_held() -> None:
    rib, fib = Rib(), Fib()
    rib.put_all(Source.LEARNED, {BLOCK: LEARNED, REMOTE: LEARNED})
    one = Round(rib, fib, rib.take_changed(), ALL, portion=1)
    assert next(puts := one.puts()) == (BLOCK, LEARNED)
    assert fib.held == {BLOCK: LEARNED}
    assert one.before() == {BLOCK: None}
    rib.put(Source.TUNNELS, REMOTE, HOLE)
    assert list(puts) == [(REMOTE, HOLE)]


def test_an_event_counts_less_than_a_plan_that_was_made_after_it() -> None:
    rib, fib = Rib(), Fib()
    rib.put_all(Source.LEARNED, {BLOCK: LEARNED, REMOTE: LEARNED})
    one = Round(rib, fib, rib.take_changed(), ALL, portion=1)
    next(puts := one.puts())
    for prefix in (BLOCK, REMOTE):
        fib.fold(RouteChanged(prefix, HOLE))
        one.heard(prefix)
    assert list(puts) == [(REMOTE, LEARNED)]
    assert one.before() == {REMOTE: HOLE}


def test_a_route_that_is_wanted_again_before_it_is_removed_stays() -> None:
    rib, fib = Rib(), Fib()
    fib.load([(BLOCK, LEARNED), (REMOTE, LEARNED)])
    rib.put(Source.PODS, POD, DEVICE)
    for due in ((BLOCK, REMOTE), (BLOCK, REMOTE, POD)):
        one = Round(rib, fib, due, ALL)
        puts = list(one.puts())
        rib.put(Source.LEARNED, BLOCK, LEARNED)
        removals = one.removals()
        assert list(removals) == [(REMOTE, LEARNED)]
        assert puts == [(POD, DEVICE)] * (POD in due)
        fib.load([(BLOCK, LEARNED), (REMOTE, LEARNED)])
        rib.remove(Source.LEARNED, BLOCK)


def test_a_dump_shows_where_belief_and_kernel_differ() -> None:
    fib = Fib()
    fib.load([(BLOCK, HOLE), (POD, DEVICE)])
    assert fib.load([(BLOCK, LEARNED), (POD, DEVICE)]) == {BLOCK}
    assert fib.load([]) == {BLOCK, POD}


def test_a_foreign_route_found_in_the_place_of_ours_is_ours_to_put_right() -> None:
    rib, fib = Rib(), Fib()
    rib.put(Source.BLOCKS, BLOCK, HOLE)
    fib.load([(BLOCK, HOLE)])
    fib.load([(BLOCK, RouteSpec(3, hops=(NextHop(7),), metric=1030))])
    assert steps(rib, fib, [BLOCK], ALL).put == [(BLOCK, HOLE)]


def test_a_plan_knows_what_was_there_before_it() -> None:
    rib, fib = Rib(), Fib()
    fib.load([(BLOCK, HOLE), (POD, DEVICE)])
    rib.put(Source.LEARNED, BLOCK, LEARNED)
    assert steps(rib, fib, [BLOCK, POD], ALL).before() == {BLOCK: HOLE, POD: DEVICE}


def test_what_the_kernel_refused_is_as_it_was() -> None:
    fib = Fib()
    fib.carried_out(Plan(put=[(BLOCK, HOLE), (POD, DEVICE)]))
    fib.refuse(BLOCK, LEARNED)
    fib.refuse(POD, None)
    assert fib.held == {BLOCK: LEARNED}


def test_of_a_device_that_goes_only_the_named_prefixes_are_looked_at() -> None:
    fib = Fib()
    fib.load([(POD, DEVICE), (BLOCK, DEVICE)])
    assert fib.forget_device(7, among=[POD]) == {POD}
    assert fib.held == {BLOCK: DEVICE}


def test_of_several_foreign_routes_the_lowest_metric_wins_and_a_higher_than_ours_does_not() -> None:
    fib = Fib()
    for metric in (5, 2, 2000):
        fib.fold(event(BLOCK, RouteSpec(4, hops=(NextHop(7),), metric=metric)))
    winner = fib.overriding(BLOCK)
    assert winner is not None
    assert winner.metric == 2
    for metric in (5, 2):
        fib.fold(event(BLOCK, RouteSpec(4, hops=(NextHop(7),), metric=metric), gone=True))
    assert fib.overriding(BLOCK) is None
