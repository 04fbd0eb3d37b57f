"""Routes through a peer's life: restarts, ends forgotten, rules changed under it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from bgp.decision import CandidatePath, learned_paths
from bgp.events import (
    AnnouncedPath,
    EndOfRib,
    GracefulRestart,
    PeerConnected,
    PeerDown,
    PeerOpen,
    PeerUp,
    RouteRefresh,
    UpdateReceived,
    UpdatesReceived,
    WithdrawnPath,
)
from bgp.import_policy import RejectReason
from bgp.rib_in import END_OF_RIB_SECONDS, RibIn, SessionState
from bgp.speaker import Attributes, ImportPolicy, LearnedPaths, LocalNode, Neighbour
from net.family import Family
from net.prefix import Prefix, pack

OWN, A, B = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LOCAL = LocalNode(64512, pack(OWN), frozenset({pack(OWN)}))
PREFIX_LIMIT = 4
ONE, TWO = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.2.0/26")
SIX = Prefix.parse("fd00::/122")
SILENT, SHUTDOWN = "closing connection", "notification received (6,2)"


def neighbour(address: str) -> Neighbour:
    return Neighbour(address, OWN, peer_as=64512, local_as=64512, import_policy=ImportPolicy(PREFIX_LIMIT))


def opened(peer: str = A, preserved: bool = True, seconds: int = 30, graceful: bool = True) -> PeerOpen:
    both: tuple[Family, ...] = ("ipv4", "ipv6")
    restart = GracefulRestart(seconds, restarting=False, families=tuple((family, preserved) for family in both))
    return PeerOpen(peer, pack(peer), 64512, 90, both, restart=restart if graceful else None)


def announces(peer: str, *prefixes: Prefix, path_id: int = 0, next_hop: str | None = None) -> UpdateReceived:
    def hop(prefix: Prefix) -> bytes:
        return pack(next_hop or peer) if prefix.bits == 32 else pack("fd99::2")

    return UpdateReceived(
        peer, announced=tuple(AnnouncedPath(prefix, path_id, Attributes(hop(prefix))) for prefix in prefixes)
    )


def withdraws(peer: str, *prefixes: Prefix, path_id: int = 0) -> UpdateReceived:
    return UpdateReceived(peer, withdrawn=tuple(WithdrawnPath(prefix, path_id) for prefix in prefixes))


def next_hops(rib: RibIn, prefix: Prefix) -> tuple[bytes, ...]:
    return tuple(path.next_hop for path in rib.learned_paths(prefix))


def rib_in(*peers: str) -> RibIn:
    made = RibIn()
    made.configure(map(neighbour, peers), LOCAL, now=0)
    return made


def come_up(rib: RibIn, peer: str = A, now: float = 0, **capability: Any) -> None:
    rib.fold(PeerConnected(peer), now)
    rib.fold(opened(peer, **capability), now)
    rib.fold(PeerUp(peer), now)


def end_of_rib(rib: RibIn, peer: str = A, now: float = 0) -> None:
    rib.fold(EndOfRib(peer, "ipv4"), now)
    rib.fold(EndOfRib(peer, "ipv6"), now)


def with_route(**capability: Any) -> RibIn:
    rib = rib_in(A)
    come_up(rib, **capability)
    rib.fold(announces(A, ONE), 0)
    end_of_rib(rib)
    return rib


def test_an_announcement_replaces_and_a_withdrawal_removes() -> None:
    rib = with_route()
    assert next_hops(rib, ONE) == (pack(A),)
    rib.fold(announces(A, ONE, next_hop=B), 0)
    assert next_hops(rib, ONE) == (pack(B),)
    rib.fold(withdraws(A, ONE, TWO), 0)
    assert next_hops(rib, ONE) == ()
    assert not rib.prefixes()


def test_prefixes_of_one_update_share_all_that_is_kept_of_their_path() -> None:
    rib = rib_in(A, B)
    come_up(rib)
    come_up(rib, B)
    prefixes = [Prefix.parse(f"10.65.{number}.0/26") for number in range(100)]
    rib.fold(announces(A, *prefixes), 0)
    assert len({id(received) for received in rib.peers[A].routes.values()}) == 1
    assert len({id(accepted) for accepted in rib._accepted.values()}) == 1
    rib.fold(announces(B, prefixes[0]), 0)
    assert [next_hops(rib, prefix) for prefix in prefixes[:2]] == [(pack(A), pack(B)), (pack(A),)]
    rib.fold(withdraws(A, *prefixes), 0)
    assert {prefix: next_hops(rib, prefix) for prefix in rib.prefixes()} == {prefixes[0]: (pack(B),)}


@given(
    st.lists(
        st.builds(
            AnnouncedPath,
            st.sampled_from([ONE, TWO, SIX, Prefix.parse("0.0.0.0/0"), *map(Prefix.host, (OWN, A, B))]),
            st.integers(0, 1),
            st.builds(Attributes, st.sampled_from([pack(OWN), pack(A), pack(B), pack("fd99::2")])),
        )
    )
)
def test_an_update_of_many_paths_leaves_what_one_for_each_leaves(paths: list[AnnouncedPath]) -> None:
    """Some are known, some refused by a rule, some beyond the limit."""
    together, apart = with_route(), with_route()
    together.fold(UpdateReceived(A, tuple(paths)), 0)
    for path in paths:
        apart.fold(UpdateReceived(A, (path,)), 0)
    assert together.peers[A].routes == apart.peers[A].routes
    assert together.peers[A].shares() == apart.peers[A].shares()
    assert together.peers[A].rejected() == apart.peers[A].rejected()
    assert together.changed == apart.changed
    assert {each: together.learned_paths(each) for each in together.prefixes()} == {
        each: apart.learned_paths(each) for each in apart.prefixes()
    }


def test_updates_that_came_together_count_in_their_order() -> None:
    rib = with_route()
    rib.fold(UpdatesReceived(A, (announces(A, TWO), withdraws(A, ONE, TWO), announces(A, TWO))), 0)
    assert set(rib.prefixes()) == {TWO}
    rib.fold(UpdatesReceived(B, (announces(B, ONE),)), 0)
    assert set(rib.prefixes()) == {TWO}


def test_withdrawals_of_one_update_come_before_its_announcements() -> None:
    rib = with_route()
    rib.fold(replace(announces(A, ONE), withdrawn=(WithdrawnPath(ONE, 0),)), 0)
    assert next_hops(rib, ONE) == (pack(A),)


def test_paths_of_one_peer_are_told_apart_by_their_id() -> None:
    rib = with_route()
    rib.fold(announces(A, ONE, path_id=2, next_hop=B), 0)
    assert next_hops(rib, ONE) == (pack(A), pack(B))
    rib.fold(withdraws(A, ONE), 0)
    assert next_hops(rib, ONE) == (pack(B),)


def test_routes_stay_through_a_silent_end_and_go_when_the_restart_time_is_over() -> None:
    rib = with_route(seconds=30)
    rib.fold(PeerDown(A, SILENT), 100)
    rib.expire(129)
    assert next_hops(rib, ONE) == (pack(A),)
    rib.expire(130)
    assert next_hops(rib, ONE) == ()


def test_failed_attempts_to_come_back_do_not_count_as_another_end() -> None:
    rib = with_route()
    rib.fold(PeerDown(A, SILENT), 100)
    for _ in range(3):
        rib.fold(PeerConnected(A), 101)
        rib.fold(PeerDown(A, SILENT), 101)
    assert next_hops(rib, ONE) == (pack(A),)


def test_a_notification_ends_the_routes_at_once() -> None:
    for reason in (SHUTDOWN, "notification sent (4,0)"):
        rib = with_route()
        rib.fold(PeerDown(A, reason), 100)
        assert next_hops(rib, ONE) == ()


def test_a_peer_that_does_not_restart_gracefully_loses_its_routes() -> None:
    rib = with_route(graceful=False)
    rib.fold(PeerDown(A, SILENT), 100)
    assert next_hops(rib, ONE) == ()


def test_end_of_rib_after_a_restart_drops_only_what_was_not_repeated() -> None:
    rib = with_route()
    rib.fold(announces(A, TWO, SIX), 0)
    rib.fold(PeerDown(A, SILENT), 100)
    come_up(rib, now=101)
    rib.fold(announces(A, ONE), 101)
    assert set(rib.prefixes()) == {ONE, TWO, SIX}
    rib.fold(EndOfRib(A, "ipv4"), 101)
    assert set(rib.prefixes()) == {ONE, SIX}
    rib.fold(EndOfRib(A, "ipv6"), 101)
    assert set(rib.prefixes()) == {ONE}
    assert rib.peers[A].stale_until is None


def test_a_peer_that_lost_its_forwarding_state_loses_its_stale_routes_when_it_is_back() -> None:
    rib = with_route()
    rib.fold(PeerDown(A, SILENT), 100)
    come_up(rib, now=101, preserved=False)
    assert next_hops(rib, ONE) == ()


def test_an_end_of_rib_that_never_comes_is_waited_for_longer_than_a_calico_node_takes() -> None:
    rib = with_route()
    rib.fold(PeerDown(A, SILENT), 100)
    come_up(rib, now=101)
    rib.expire(101 + 240)
    assert next_hops(rib, ONE) == (pack(A),)
    rib.expire(101 + END_OF_RIB_SECONDS)
    assert next_hops(rib, ONE) == ()


def test_a_second_end_before_end_of_rib_drops_what_was_stale_already() -> None:
    rib = with_route()
    rib.fold(PeerDown(A, SILENT), 100)
    come_up(rib, now=101)
    rib.fold(announces(A, TWO), 101)
    rib.fold(PeerDown(A, SILENT), 102)
    assert set(rib.prefixes()) == {TWO}


def test_our_own_restart_keeps_everything_whatever_the_peers_preserved() -> None:
    """For the peer it was us who restarted: it did not, and claims no forwarding state."""
    rib = with_route(preserved=False)
    rib.speaker_lost("killed", 100)
    come_up(rib, now=101, preserved=False)
    assert next_hops(rib, ONE) == (pack(A),)
    end_of_rib(rib, now=101)
    assert next_hops(rib, ONE) == ()


def test_a_refresh_drops_what_it_did_not_repeat() -> None:
    rib = with_route()
    rib.fold(announces(A, TWO), 0)
    rib.fold(RouteRefresh(A, "ipv4", "begin"), 0)
    rib.fold(announces(A, TWO), 0)
    rib.fold(withdraws(A, Prefix.parse("0.0.0.0/0")), 0)
    assert set(rib.prefixes()) == {ONE, TWO}
    rib.fold(RouteRefresh(A, "ipv4", "end"), 0)
    assert set(rib.prefixes()) == {TWO}


def test_a_rejected_route_is_used_once_the_rules_allow_it_and_the_other_way_round() -> None:
    rib = with_route()
    mine = replace(LOCAL, own_blocks=(ONE,))
    rib.configure([neighbour(A)], mine, 1)
    assert next_hops(rib, ONE) == ()
    assert rib.peers[A].rejected() == {RejectReason.OWN_BLOCK: 1}
    rib.configure([neighbour(A)], LOCAL, 2)
    assert next_hops(rib, ONE) == (pack(A),)


def test_a_route_that_becomes_bad_is_not_used_in_its_old_form() -> None:
    rib = with_route()
    rib.fold(announces(A, ONE, next_hop=OWN), 0)
    assert next_hops(rib, ONE) == ()


def test_prefixes_over_the_limit_are_rejected_and_counted_and_known_ones_still_change() -> None:
    rib = with_route()
    many = [Prefix.parse(f"10.66.{n}.0/26") for n in range(10)]
    rib.fold(announces(A, *many), 0)
    assert len(rib.prefixes()) == PREFIX_LIMIT
    assert rib.peers[A].rejected() == {RejectReason.OVER_LIMIT: 7}
    rib.fold(announces(A, ONE, next_hop=B), 0)
    assert next_hops(rib, ONE) == (pack(B),)


def test_a_known_route_whose_new_form_is_over_a_limit_is_withdrawn() -> None:
    rib = with_route()
    longest = Attributes(pack(A), communities=tuple((64512, number) for number in range(1001)))
    rib.fold(UpdateReceived(A, announced=(AnnouncedPath(ONE, 0, longest),)), 0)
    assert next_hops(rib, ONE) == ()
    assert rib.peers[A].rejected() == {RejectReason.TOO_LONG: 1}


def test_a_peer_near_a_limit_is_named_once_until_it_is_far_again() -> None:
    rib = with_route()
    peer = rib.peers[A]
    many = [Prefix.parse(f"10.66.{n}.0/26") for n in range(2)]
    assert peer.new_warning() == ""
    rib.fold(announces(A, *many), 0)
    assert (peer.new_warning(), peer.new_warning()) == ("3 of 4 paths", "")
    rib.fold(withdraws(A, *many), 0)
    assert peer.new_warning() == ""
    rib.fold(announces(A, *many), 0)
    assert peer.new_warning() == "3 of 4 paths"


def test_a_peer_that_has_withdrawn_enough_or_may_send_more_is_asked_once_for_what_was_refused() -> None:
    for lift in ("withdraw", "configure"):
        rib = rib_in(A)
        rib.fold(replace(opened(), refresh=True), 0)
        rib.fold(PeerUp(A), 0)
        many = [Prefix.parse(f"10.66.{n}.0/26") for n in range(6)]
        rib.fold(announces(A, *many), 0)
        assert rib.owing_routes([A]) == []
        rib.active.clear()
        if lift == "withdraw":
            rib.fold(withdraws(A, *many[:2]), 0)
        else:
            rib.configure([replace(neighbour(A), import_policy=ImportPolicy(10))], LOCAL, 1)
        assert rib.active == {A}
        assert rib.owing_routes([A]) == [rib.peers[A]]
        assert (rib.owing_routes([A]), rib.peers[A].rejected()) == ([], {})


def test_a_peer_that_sends_nothing_again_is_not_asked() -> None:
    rib = with_route()
    many = [Prefix.parse(f"10.66.{n}.0/26") for n in range(6)]
    rib.fold(announces(A, *many), 0)
    rib.fold(withdraws(A, *many), 0)
    assert rib.owing_routes([A]) == []
    assert rib.peers[A].rejected() == {RejectReason.OVER_LIMIT: 3}


def test_a_removed_neighbour_takes_its_routes_along() -> None:
    rib = with_route()
    rib.configure([neighbour(B)], LOCAL, 1)
    assert not rib.prefixes()
    rib.fold(announces(A, ONE), 1)
    assert not rib.prefixes()


def test_converged_when_all_have_ended_their_table_or_had_their_time() -> None:
    rib = rib_in(A, B)
    come_up(rib)
    end_of_rib(rib)
    assert not rib.converged(119)
    assert rib.converged(120)
    come_up(rib, B, 119)
    assert not rib.converged(120), "a peer that is up has promised an end-of-RIB"
    end_of_rib(rib, B)
    assert rib.converged(120)


def test_a_wrong_as_is_explained_and_bare_retries_do_not_hide_it() -> None:
    rib = rib_in(A)
    rib.fold(PeerConnected(A), 1)
    rib.fold(PeerDown(A, "notification sent (2,2)"), 1)
    rib.fold(PeerDown(A, SILENT), 2)
    assert rib.peers[A].last_error == "wrong AS number (NOTIFICATION 2/2 sent)"
    assert rib.peers[A].state is SessionState.DOWN


def test_two_router_ids_alike_are_named_with_the_cure() -> None:
    alike = f"this node and {A} have the same, {OWN}; give one of them another (CALICO_ROUTER_ID of a node)"
    for last_open, words in (
        (replace(opened(), router_id=pack(OWN)), f": {alike}"),
        (None, f": {alike}"),
        (opened(), ""),
    ):
        rib = rib_in(A)
        if last_open:
            rib.fold(last_open, 1)
        rib.fold(PeerDown(A, "notification received (2,3)"), 1)
        assert rib.peers[A].last_error == f"bad router id (NOTIFICATION 2/3 received){words}"


class AnyLife(RuleBasedStateMachine):
    """Two peers say anything in any order: the index by prefix is always what the peers' own tables say."""

    peers = st.sampled_from([A, B])
    prefixes = st.sampled_from([ONE, TWO, SIX, Prefix.parse("10.65.1.7/32")])
    ids = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.rib = rib_in(A, B)
        self.now = 0.0
        self.reported: dict[Prefix, LearnedPaths] = {}

    @rule(peer=peers, prefix=prefixes, path_id=ids, hop=st.sampled_from([A, B, OWN]))
    def announce(self, peer: str, prefix: Prefix, path_id: int, hop: str) -> None:
        if len(prefix.packed) == 4:
            self.rib.fold(announces(peer, prefix, path_id=path_id, next_hop=hop), self.now)

    @rule(peer=peers, prefix=prefixes, path_id=ids)
    def withdraw(self, peer: str, prefix: Prefix, path_id: int) -> None:
        self.rib.fold(withdraws(peer, prefix, path_id=path_id), self.now)

    @rule(peer=peers, preserved=st.booleans(), graceful=st.booleans())
    def up(self, peer: str, preserved: bool, graceful: bool) -> None:
        come_up(self.rib, peer, self.now, preserved=preserved, graceful=graceful)

    @rule(peer=peers, reason=st.sampled_from([SILENT, SHUTDOWN]))
    def down(self, peer: str, reason: str) -> None:
        self.rib.fold(PeerDown(peer, reason), self.now)

    @rule(peer=peers)
    def end(self, peer: str) -> None:
        end_of_rib(self.rib, peer, self.now)

    @rule(peer=peers, subtype=st.sampled_from(["begin", "end", "query"]))
    def refresh(self, peer: str, subtype: str) -> None:
        self.rib.fold(RouteRefresh(peer, "ipv4", subtype), self.now)

    @rule()
    def lose_exabgp(self) -> None:
        self.rib.speaker_lost("killed", self.now)

    @rule(seconds=st.sampled_from([1.0, 50.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.rib.expire(self.now)

    @rule(peers=st.sets(peers), blocks=st.sets(prefixes, max_size=2))
    def configure(self, peers: set[str], blocks: set[Prefix]) -> None:
        local = replace(LOCAL, own_blocks=tuple(blocks))
        self.rib.configure(map(neighbour, peers), local, self.now)

    @invariant()
    def index_is_what_the_peers_tables_say(self) -> None:
        paths: dict[Prefix, list[CandidatePath]] = {}
        for address, peer in self.rib.peers.items():
            for key, received in peer.routes.items():
                if received.reject_reason is None:
                    paths.setdefault(key.prefix, []).append(CandidatePath(received.attributes, peer.external, address))
        assert set(self.rib.prefixes()) == set(paths)
        for prefix, some in paths.items():
            assert self.rib.learned_paths(prefix) == learned_paths(some)

    @invariant()
    def every_change_is_marked(self) -> None:
        for prefix in self.rib.changed:
            self.reported.pop(prefix, None)
            if found := self.rib.learned_paths(prefix):
                self.reported[prefix] = found
        self.rib.changed.clear()
        assert self.reported == {prefix: self.rib.learned_paths(prefix) for prefix in self.rib.prefixes()}

    @invariant()
    def usage_is_what_the_tables_hold(self) -> None:
        for peer in self.rib.peers.values():
            hops = {received.attributes.next_hop for received in peer.routes.values()}
            assert [share.used for share in peer.shares()] == [len(peer.routes), len(hops), 0]

    @invariant()
    def stale_routes_exist_and_have_an_end(self) -> None:
        for peer in self.rib.peers.values():
            assert peer.stale <= peer.routes.keys()
            assert (peer.stale_until is not None) >= bool(peer.stale)


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
