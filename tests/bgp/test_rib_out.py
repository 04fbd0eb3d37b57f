"""Whatever is wanted, in whatever order: after the last answered batch every peer has exactly that."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bgp.rib_out import RibOut
from bgp.speaker import Attributes
from net.prefix import Prefix, pack

PREFIXES = [Prefix.parse(f"10.65.{n}.0/26") for n in range(6)]
SOME = [Attributes(pack("192.0.2.1"), med=med) for med in range(3)]
tables = st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(SOME))


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
    out = RibOut()
    out.put({PREFIXES[0]: SOME[0]})
    assert not out.complete
    out.replace({})
    assert out.complete


class Peers(RuleBasedStateMachine):
    """An ExaBGP that keeps a table per neighbour, gets neighbours by reload, and dies."""

    def __init__(self) -> None:
        super().__init__()
        self.out = RibOut()
        self.wanted: dict[Prefix, Attributes] = {}
        self.peers: dict[str, dict[Prefix, Attributes]] = {"first": {}}

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

    @rule(limit=st.integers(1, 4))
    def send_one_batch(self, limit: int) -> None:
        batch = self.out.next_batch(limit)
        assert not batch.announce.keys() & batch.withdraw.keys()
        for table in self.peers.values():
            table.update(batch.announce)
            for prefix in batch.withdraw:
                table.pop(prefix, None)
        self.out.answered(batch)

    @rule(name=st.sampled_from(["second", "third"]))
    def reload_with_another(self, name: str) -> None:
        self.peers[name] = {}
        self.out.need_full_table([name])

    @rule()
    def die(self) -> None:
        self.peers = {name: {} for name in self.peers}
        self.out.forget_sent()

    @invariant()
    def once_drained_and_caught_up_all_have_what_is_wanted(self) -> None:
        while self.out.pending:
            self.send_one_batch(3)
        for name, table in self.peers.items():
            table.update(self.out.full_table(name))
            assert table == self.wanted
        assert self.out.sent == self.wanted


class PeersServedNowAndThen(Peers):
    """The same, served only at times."""

    @invariant()
    def once_drained_and_caught_up_all_have_what_is_wanted(self) -> None:
        pass

    def teardown(self) -> None:
        Peers.once_drained_and_caught_up_all_have_what_is_wanted(self)


TestPeers = Peers.TestCase
TestPeers.settings = settings(max_examples=40, deadline=None)
TestPeersServedNowAndThen = PeersServedNowAndThen.TestCase
TestPeersServedNowAndThen.settings = settings(max_examples=80, deadline=None)
