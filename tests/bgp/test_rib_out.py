"""Whatever is wanted, in whatever order: after the last answered batch each peer has exactly what its group gets."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from bgp.export_policy import ExportGroup, ExportPolicy
from bgp.rib_out import Batch, RibOut, RibsOut, latest_end_of_rib
from bgp.speaker import Attributes, Neighbour
from net.prefix import Prefix, pack

PREFIXES = [Prefix.parse(f"10.65.{n}.0/26") for n in range(6)]
SOME = [Attributes(pack("192.0.2.1"), med=med) for med in range(3)]
tables = st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(SOME))
NAMES = ["first", "second", "third"]


def neighbour(name: str, group: str = "plain") -> Neighbour:
    """Return a neighbour whose group, for POLICY below, is in its local address."""
    return Neighbour(name, group, 64512, 64512)


def exported(group: ExportGroup, prefix: Prefix, attributes: Attributes) -> Attributes | None:
    """Give the group `half` every second prefix only, and with another MED."""
    if group == "plain":
        return attributes
    return replace(attributes, med=9) if PREFIXES.index(prefix) % 2 else None


POLICY = ExportPolicy(lambda neighbour: neighbour.local_address, exported)


def table_of(group: ExportGroup, table: dict[Prefix, Attributes]) -> dict[Prefix, Attributes]:
    found = {prefix: exported(group, prefix, attributes) for prefix, attributes in table.items()}
    return {prefix: attributes for prefix, attributes in found.items() if attributes is not None}


def test_a_change_back_before_the_next_batch_is_no_change() -> None:
    out = RibOut()
    out.replace({PREFIXES[0]: SOME[0]})
    out.answered(out.next_batch(10))
    out.put({PREFIXES[0]: SOME[1]})
    out.put({PREFIXES[0]: SOME[0]})
    assert not out.next_batch(10)


def test_a_withdrawal_carries_what_was_announced() -> None:
    out = RibOut()
    out.replace({PREFIXES[0]: SOME[2]})
    out.answered(out.next_batch(10))
    out.replace({})
    assert out.next_batch(10).withdraw == {PREFIXES[0]: SOME[2]}


def test_only_stating_everything_makes_it_complete() -> None:
    out = RibsOut()
    out.put({PREFIXES[0]: SOME[0]})
    out.set_neighbours([neighbour("first")])
    assert not out.complete
    out.replace({})
    assert out.complete
    assert all(group.complete for group in out.groups.values())


def test_each_group_has_its_own_table_its_own_batches_and_its_own_ends_of_rib() -> None:
    out = RibsOut(POLICY)
    out.set_neighbours([neighbour("first"), neighbour("second", "half")])
    out.replace({PREFIXES[0]: SOME[0], PREFIXES[1]: SOME[0]})
    plain, half = out.groups["plain"], out.groups["half"]
    plain.up("first", ("ipv4",), 0)
    half.up("second", ("ipv4",), 0)
    assert plain.next_batch(10).announce == {PREFIXES[0]: SOME[0], PREFIXES[1]: SOME[0]}
    assert half.next_batch(10).announce == {PREFIXES[1]: replace(SOME[0], med=9)}
    assert plain.end_of_rib_due(0).keys() == {"first"}
    assert half.end_of_rib_due(0).keys() == {"second"}


def test_a_group_without_members_is_gone_and_a_new_one_begins_with_the_whole_table() -> None:
    out = RibsOut(POLICY)
    out.replace({PREFIXES[1]: SOME[0]})
    out.set_neighbours([neighbour("first")])
    assert out.groups.keys() == {"plain"}
    out.set_neighbours([neighbour("first", "half")])
    assert out.groups.keys() == {"half"}
    assert out.groups["half"].next_batch(10).announce == {PREFIXES[1]: replace(SOME[0], med=9)}


def test_who_moves_to_another_group_is_withdrawn_what_that_does_not_get() -> None:
    out = RibsOut(POLICY)
    out.set_neighbours([neighbour("first")])
    out.replace({PREFIXES[0]: SOME[0], PREFIXES[1]: SOME[0]})
    out.groups["plain"].answered(out.groups["plain"].next_batch(10))
    out.set_neighbours([neighbour("first", "half")])
    half = out.groups["half"]
    half.answered(half.next_batch(10))
    assert half.receivers() == []
    assert half.need_full_table() == ["first"]
    assert half.full_table("first") == Batch({PREFIXES[1]: replace(SOME[0], med=9)}, {PREFIXES[0]: SOME[0]})
    assert half.receivers() == ["first"]


def test_who_moves_while_a_batch_is_in_flight_is_withdrawn_that_too() -> None:
    out = RibsOut(POLICY)
    out.set_neighbours([neighbour("first")])
    out.replace({PREFIXES[0]: SOME[0]})
    plain = out.groups["plain"]
    batch = plain.next_batch(10)
    out.set_neighbours([neighbour("first", "half")])
    plain.answered(batch)
    assert out.groups["half"].full_table("first") == Batch({}, {PREFIXES[0]: SOME[0]})


def test_who_moves_while_a_prefix_is_being_withdrawn_is_announced_it_anew() -> None:
    """The peer moves there and back, and the prefix is wanted again before its table is brought in line."""
    out = RibsOut(POLICY)
    out.set_neighbours([neighbour("first"), neighbour("second")])
    plain = out.groups["plain"]
    out.put({PREFIXES[0]: SOME[0]})
    plain.answered(plain.next_batch(10))
    out.remove([PREFIXES[0]])
    batch = plain.next_batch(10)
    for group in ("half", "plain"):
        out.set_neighbours([neighbour("first", group), neighbour("second")])
    plain.answered(batch)
    out.put({PREFIXES[0]: SOME[0]})
    plain.answered(plain.next_batch(10))
    assert plain.full_table("first") == Batch({PREFIXES[0]: SOME[0]}, {})


def test_an_end_of_rib_waits_for_the_table_but_not_longer_than_the_peer_does() -> None:
    ribs = RibsOut()
    ribs.set_neighbours([neighbour("first")])
    out = ribs.groups["every peer"]
    out.up("first", ("ipv4",), 100)
    latest = latest_end_of_rib(120)
    assert not out.end_of_rib_due(100 + latest)
    assert out.end_of_rib_due(100 + latest + 1).keys() == {"first"}


def test_an_end_of_rib_for_a_session_that_came_up_anew_is_not_taken_for_sent() -> None:
    ribs = RibsOut()
    ribs.set_neighbours([neighbour("first")])
    ribs.replace({})
    out = ribs.groups["every peer"]
    out.up("first", ("ipv4",), 0)
    [(address, pending)] = out.end_of_rib_due(0).items()
    out.down("first")
    out.up("first", ("ipv4",), 1)
    out.end_of_rib_sent(address, pending)
    assert out.end_of_rib_due(1).keys() == {"first"}


class Peers(RuleBasedStateMachine):
    """An ExaBGP that keeps a table per neighbour, gets neighbours by reload, and dies; peers change their group."""

    def __init__(self) -> None:
        super().__init__()
        self.out = RibsOut(POLICY)
        self.wanted: dict[Prefix, Attributes] = {}
        self.groups: dict[str, str] = {"first": "plain"}
        self.tables: dict[str, dict[Prefix, Attributes]] = {"first": {}}
        self.configure()

    def configure(self, *new: str) -> None:
        self.out.set_neighbours([neighbour(name, group) for name, group in self.groups.items()], new)

    def apply(self, name: str, batch: Batch) -> None:
        self.tables[name].update(batch.announce)
        for prefix in batch.withdraw:
            self.tables[name].pop(prefix, None)

    @rule(table=tables)
    def replace(self, table: dict[Prefix, Attributes]) -> None:
        self.wanted = dict(table)
        self.out.replace(table)

    @rule(table=tables)
    def put(self, table: dict[Prefix, Attributes]) -> None:
        self.wanted |= table
        self.out.put(table)

    @rule(prefixes=st.sets(st.sampled_from(PREFIXES)))
    def remove(self, prefixes: set[Prefix]) -> None:
        for prefix in prefixes:
            self.wanted.pop(prefix, None)
        self.out.remove(prefixes)

    @rule(limit=st.integers(1, 4), moves=st.booleans(), group=st.sampled_from(["plain", "half"]))
    def send_one_batch(self, limit: int, moves: bool, group: str) -> None:
        """A peer may change its group between a batch and its answer."""
        for rib in list(self.out.groups.values()):
            batch = rib.next_batch(limit)
            assert not batch.announce.keys() & batch.withdraw.keys()
            for name in rib.receivers():
                self.apply(name, batch)
            if moves:
                self.groups["first"] = group
                self.configure()
            rib.answered(batch)

    @rule(name=st.sampled_from(NAMES), group=st.sampled_from(["plain", "half"]))
    def reload_with_another(self, name: str, group: str) -> None:
        self.groups[name], self.tables[name] = group, {}
        self.configure(name)
        self.out.reload_done()

    @rule(name=st.sampled_from(NAMES[1:]))
    def reload_without(self, name: str) -> None:
        self.groups.pop(name, None)
        self.tables.pop(name, None)
        self.configure()

    @rule(name=st.sampled_from(NAMES), group=st.sampled_from(["plain", "half"]))
    def change_group(self, name: str, group: str) -> None:
        if name in self.groups:
            self.groups[name] = group
            self.configure()

    @rule()
    def die(self) -> None:
        self.tables = {name: {} for name in self.tables}
        self.out.speaker_started()

    @invariant()
    def once_drained_and_up_all_have_what_their_group_gets(self) -> None:
        while any(rib.pending for rib in self.out.groups.values()):
            self.send_one_batch(3, moves=False, group="plain")
        for rib in self.out.groups.values():
            for name in rib.members:
                rib.up(name, ("ipv4",), 0)
            for name in rib.need_full_table():
                self.apply(name, rib.full_table(name))
        for name, table in self.tables.items():
            assert table == table_of(self.groups[name], self.wanted)
            assert self.out.sent_to(name) == table


class PeersServedNowAndThen(Peers):
    """The same, served only at times."""

    @invariant()
    def once_drained_and_up_all_have_what_their_group_gets(self) -> None:
        pass

    def teardown(self) -> None:
        Peers.once_drained_and_up_all_have_what_their_group_gets(self)


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=40, deadline=None)
TestPeersServedNowAndThen = PeersServedNowAndThen.TestCase
TestPeersServedNowAndThen.settings = settings(max_examples=120, deadline=None)
