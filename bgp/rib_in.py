"""Adj-RIB-in: each peer's session and routes, folded from events, and which of the routes are stale.

Pure: no I/O, no logging; the clock is an argument, in seconds of any one origin. Rejected routes are stored beside the
accepted ones, for a peer sends a route once: when the rules change, all are filtered again.

Graceful restart (RFC 4724) of one peer; `restart` is the capability in its last OPEN:

    state      event                               next state  its routes
    ---------  ----------------------------------  ----------  ---------------------------------------------------------
    down       PeerConnected                       connected   unchanged
    connected  PeerDown: the attempt failed        down        unchanged
    connected  PeerUp, after the peer's restart    up          stale ones of families whose F bit is clear: dropped;
                                                               the others: for END_OF_RIB_SECONDS more
    connected  PeerUp, after our own restart       up          stale ones: for END_OF_RIB_SECONDS more, whatever F says
    up         UPDATE                              up          announced: stored, no longer stale; withdrawn: dropped
    up         EndOfRib of a family                up          stale ones of it: dropped; in sync after the last family
    up         RouteRefresh begin, end (RFC 7313)  up          begin: all of the family stale; end: stale ones dropped
    up         PeerDown, silent, with `restart`    down        of the families it names: stale for its restart time;
                                                               others, and those stale already: dropped
    up         PeerDown otherwise                  down        dropped
    up         speaker_lost: ExaBGP ended          down        stale for our own restart time
    any        expire: stale_until has passed      unchanged   stale ones: dropped
    any        configure without this neighbour    none        dropped
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct, field

from bgp.decision import CandidatePath, learned_paths
from bgp.events import (
    AnnouncedPath,
    EndOfRib,
    PeerConnected,
    PeerDown,
    PeerEvent,
    PeerOpen,
    PeerUp,
    RouteRefresh,
    UpdateReceived,
    UpdatesReceived,
)
from bgp.import_policy import ImportFilter, RejectReason
from bgp.limits import LIFTED_BY_WITHDRAWALS, WARN_AT, WARN_UNTIL, Share, Usage
from bgp.notification import explain, is_more_informative, is_silent, refuses_router_id
from bgp.speaker import Attributes, LearnedPaths, LocalNode, Neighbour
from net.family import FAMILIES, Family
from net.prefix import Prefix, unpack

# A real Calico node that restarts sends its end-of-RIB up to 240 s after its session is up.
END_OF_RIB_SECONDS = 300.0
WITHDRAWN_KEPT = 20000  # a peer may withdraw as many prefixes as it likes
_ATTRIBUTES = attrgetter("attributes")


class SessionState(StrEnum):
    """How far a session is. What is not up may still hold stale routes."""

    DOWN = "down"
    CONNECTED = "connected"
    UP = "up"


class PathKey(NamedTuple):
    """Identifies one path among a peer's (RFC 7911); the id is 0 without add-path."""

    prefix: Prefix
    path_id: int


class ReceivedPath(NamedTuple):
    attributes: Attributes
    reject_reason: RejectReason | None


class AcceptedPath(NamedTuple):
    """One path that takes part in the decision, and its identifier among its peer's."""

    path_id: int
    path: CandidatePath


class PeerSession(Struct):
    """One neighbour, its session and its routes.

    since: when `state` changed last. stale_until: when stale routes are dropped. we_restarted: the last session ended
    because our own ExaBGP did. eor_pending: families of this session without end-of-RIB. in_sync: all have had theirs
    once, in any session. dropped: announcements of this session that are not stored, by reason. usage: what its routes
    use of its limits. warned: whether it was said that a limit is near. disagreements: how many of its UPDATEs the two
    decoders read differently.
    """

    neighbour: Neighbour
    configured_at: float
    since: float
    state: SessionState = SessionState.DOWN
    last_error: str = ""
    flaps: int = 0
    open: PeerOpen | None = None
    routes: dict[PathKey, ReceivedPath] = field(default_factory=dict)
    stale: set[PathKey] = field(default_factory=set)
    stale_until: float | None = None
    we_restarted: bool = False
    eor_pending: set[Family] = field(default_factory=set)
    in_sync: bool = False
    dropped: Counter[RejectReason] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    warned: bool = False
    disagreements: int = 0

    @property
    def external(self) -> bool:
        return self.neighbour.peer_as != self.neighbour.local_as

    @property
    def families(self) -> tuple[Family, ...]:
        """The families both ends speak; ours while there is no OPEN."""
        if self.open is None:
            return self.neighbour.families
        return tuple(family for family in self.neighbour.families if family in self.open.families)

    def paths_to(self, prefix: Prefix) -> list[tuple[PathKey, ReceivedPath]]:
        """Return what it announced of one prefix. It searches all of its routes: for questions, not for every event."""
        return [(key, received) for key, received in self.routes.items() if key.prefix == prefix]

    def shares(self) -> tuple[Share, ...]:
        """Return how much of each of its limits it uses."""
        return tuple(self.usage.shares(self.neighbour.import_policy.prefix_limit))

    def new_warning(self) -> str:
        """Return which limits are nearly used up, once until they are far again."""
        most = max(share.part for share in self.shares())
        if most < WARN_UNTIL:
            self.warned = False
        if self.warned or most < WARN_AT:
            return ""
        self.warned = True
        return ", ".join(str(share) for share in self.shares() if share.part >= WARN_AT)

    def owes_routes(self) -> bool:
        """Whether it would send routes again that were over a limit, and there is room for them now."""
        return (
            self.state is SessionState.UP
            and self.open is not None
            and self.open.refresh
            and any(self.dropped[reason] for reason in LIFTED_BY_WITHDRAWALS)
            and all(share.part < WARN_AT for share in self.shares())
        )

    def converged(self, now: float) -> bool:
        """True once it has sent its whole table, or has had its time: longer with a promised end-of-RIB."""
        promised = self.state is SessionState.UP and self.open is not None and self.open.restart is not None
        seconds = END_OF_RIB_SECONDS if promised else self.neighbour.restart_time
        return self.in_sync or now >= self.configured_at + seconds

    def rejected(self) -> Counter[RejectReason]:
        """Return how many of its announcements are not used, by reason."""
        return self.dropped + Counter(
            received.reject_reason for received in self.routes.values() if received.reject_reason
        )


class RibIn:
    """The routes of all peers, by peer and by prefix. `changed` collects the prefixes whose paths changed.

    active: the addresses of the peers that something happened to. Who reads either empties it.
    withdrawn: the prefixes that had a path since the sidecar started and have none, WITHDRAWN_KEPT at most.
    """

    def __init__(self) -> None:
        self.peers: dict[str, PeerSession] = {}
        self.changed: set[Prefix] = set()
        self.active: set[str] = set()
        self.withdrawn: set[Prefix] = set()
        self._accepted: dict[Prefix, tuple[AcceptedPath, ...]] = {}
        # Prefixes of one UPDATE come one after the other, and are most of a table: they share what was made last.
        self._last_received = ReceivedPath(Attributes(b""), None)
        self._last_accepted: tuple[AcceptedPath, ...] = ()
        self._last_decided: tuple[tuple[AcceptedPath, ...], LearnedPaths] = (), ()
        self._filter: ImportFilter | None = None

    def configure(self, neighbours: Iterable[Neighbour], local: LocalNode, now: float) -> None:
        """Add new neighbours, drop removed ones with their routes, filter everything again where rules changed."""
        wanted = {neighbour.address: neighbour for neighbour in neighbours}
        before = self._filter
        same_rules = before is not None and before.local == local
        import_filter = self._filter = before if before is not None and same_rules else ImportFilter(local)
        for address in self.peers.keys() - wanted.keys():
            self._drop(self.peers[address], list(self.peers[address].routes))
            del self.peers[address]
        for address, neighbour in wanted.items():
            peer = self.peers.get(address)
            if peer is None:
                self.peers[address] = PeerSession(neighbour, configured_at=now, since=now)
            elif peer.neighbour != neighbour or not same_rules:
                peer.neighbour = neighbour
                self.active.add(address)
                self._filter_again(peer, import_filter)

    def fold(self, event: PeerEvent, now: float) -> None:
        """Take in one event; one of a peer that is no longer configured is ignored."""
        peer = self.peers.get(event.peer)
        if peer is None:
            return
        self.active.add(event.peer)
        match event:
            case PeerConnected():
                self._enter(peer, SessionState.CONNECTED, now)
            case PeerOpen():
                peer.open = event
                peer.last_error = _wrong_as(peer.neighbour, event) or peer.last_error
            case PeerUp():
                self._up(peer, now)
            case PeerDown():
                self._down(peer, event.reason, now)
            case UpdatesReceived():
                for update in event.updates:
                    self._update(peer, update)
            case UpdateReceived():
                self._update(peer, event)
            case EndOfRib():
                self._end_of_rib(peer, event.family)
            case RouteRefresh(subtype="begin"):
                self._mark_stale(peer, [event.family], now + END_OF_RIB_SECONDS)
            case RouteRefresh(subtype="end"):
                self._drop_stale(peer, [event.family])
            case RouteRefresh():
                pass  # ExaBGP itself answers a request, from its adj-rib-out

    def speaker_lost(self, reason: str, now: float) -> None:
        """Every session has ended because our own ExaBGP did: we are the restarting side of RFC 4724.

        All routes stay, for nothing is known against them, until each peer's end-of-RIB or our restart time.
        """
        for peer in self.peers.values():
            if peer.state is SessionState.UP:
                peer.stale = set(peer.routes)
                peer.stale_until = now + peer.neighbour.restart_time
                peer.we_restarted = True
                peer.last_error = reason
            self._enter(peer, SessionState.DOWN, now)

    def expire(self, now: float) -> None:
        """Drop the stale routes whose time is over."""
        for peer in self.peers.values():
            if peer.stale_until is not None and peer.stale_until <= now:
                self.active.add(peer.neighbour.address)
                self._drop_stale(peer, FAMILIES)

    def converged(self, now: float) -> bool:
        return all(peer.converged(now) for peer in self.peers.values())

    def owing_routes(self, among: Iterable[str]) -> list[PeerSession]:
        """Return those of these that are to be asked for their routes again, and count what is refused next anew."""
        known = (self.peers.get(address) for address in among)
        found = [peer for peer in known if peer is not None and peer.owes_routes()]
        for peer in found:
            for reason in LIFTED_BY_WITHDRAWALS:
                del peer.dropped[reason]
        return found

    def prefixes(self) -> Collection[Prefix]:
        """Return every prefix to which a path was accepted."""
        return self._accepted.keys()

    def learned_paths(self, prefix: Prefix) -> LearnedPaths:
        """Return the best paths to a prefix; empty where there is none."""
        accepted = self._accepted.get(prefix, ())
        if accepted is not self._last_decided[0]:
            self._last_decided = accepted, learned_paths([each.path for each in accepted])
        return self._last_decided[1]

    def _up(self, peer: PeerSession, now: float) -> None:
        self._enter(peer, SessionState.UP, now)
        peer.last_error = ""
        peer.dropped.clear()
        peer.eor_pending = set(peer.families)
        if not peer.we_restarted:
            self._drop_stale(peer, set(FAMILIES) - _preserved_families(peer))
        peer.we_restarted = False
        if peer.stale:
            peer.stale_until = now + END_OF_RIB_SECONDS

    def _down(self, peer: PeerSession, reason: str, now: float) -> None:
        """A session that was up leaves its routes stale if its end was silent and its peer restarts gracefully.

        An attempt that failed changes nothing, and hides no better explanation. Routes that were stale already are
        dropped: their peer came back and ended again without confirming them (RFC 4724 §4.2).
        """
        was_up = peer.state is SessionState.UP
        self._enter(peer, SessionState.DOWN, now)
        if was_up or is_more_informative(reason, peer.last_error):
            peer.last_error = _explained(peer, reason, self._filter)
        if not was_up:
            return
        peer.flaps += 1
        self._drop_stale(peer, FAMILIES)
        restart = peer.open.restart if peer.open is not None else None
        if restart is None or not is_silent(reason):
            self._drop(peer, list(peer.routes))
            return
        named = {family for family, _ in restart.families}
        self._drop(peer, [key for key in peer.routes if key.prefix.family not in named])
        self._mark_stale(peer, named, now + restart.seconds)

    def _update(self, peer: PeerSession, update: UpdateReceived) -> None:
        import_filter = self._filter
        assert import_filter is not None, "peers exist only once neighbours are configured"
        for prefix, path_id in update.withdrawn:
            self._drop(peer, [PathKey(prefix, path_id)])
        if update.error is not None:
            peer.dropped[RejectReason.MALFORMED] += 1
        if update.disagreement is not None:
            peer.disagreements += 1
        for attributes, paths in groupby(update.announced, key=_ATTRIBUTES):
            self._announce(peer, attributes, paths, import_filter)

    def _announce(
        self, peer: PeerSession, attributes: Attributes, paths: Iterable[AnnouncedPath], import_filter: ImportFilter
    ) -> None:
        """Take in paths that share their attributes. What is the same of those that are new is worked out once."""
        neighbour, usage = peer.neighbour, peer.usage
        limit, wrong = neighbour.import_policy.prefix_limit, import_filter.attributes(attributes, neighbour)
        received, only = self._received(attributes, None), self._only(peer, 0, attributes)
        room, new = usage.room(attributes, limit), 0
        routes, all_accepted, changed, withdrawn = peer.routes, self._accepted, self.changed, self.withdrawn
        for prefix, path_id, _ in paths:
            key, reason = PathKey(prefix, path_id), wrong or import_filter.prefix(prefix, attributes, neighbour)
            if reason is not None or new == room or key in routes:
                usage.add(attributes, new)
                self._put(peer, key, attributes, reason)
                room, new = usage.room(attributes, limit), 0
                continue
            new += 1
            if path_id != only[0].path_id:
                only = self._only(peer, path_id, attributes)
            routes[key] = received
            others = all_accepted.get(prefix)
            all_accepted[prefix] = (*others, *only) if others else only
            changed.add(prefix)
            if withdrawn:  # a prefix is not hashed for nothing
                withdrawn.discard(prefix)
        usage.add(attributes, new)

    def _end_of_rib(self, peer: PeerSession, family: Family) -> None:
        self._drop_stale(peer, [family])
        peer.eor_pending.discard(family)
        if not peer.eor_pending and peer.state is SessionState.UP:
            peer.in_sync = True

    def _put(self, peer: PeerSession, key: PathKey, attributes: Attributes, reason: RejectReason | None) -> None:
        known = peer.routes.get(key)
        before = None if known is None else known.attributes
        exceeded = peer.usage.exceeded(before, attributes, peer.neighbour.import_policy.prefix_limit)
        if exceeded is not None:
            peer.dropped[exceeded] += 1
            self._drop(peer, [key])
            return
        peer.usage.replace(before, attributes)
        peer.routes[key] = self._received(attributes, reason)
        peer.stale.discard(key)
        if reason is None:
            self._accept(peer, key, attributes)
        else:
            self._unaccept(peer, key)

    def _accept(self, peer: PeerSession, key: PathKey, attributes: Attributes) -> None:
        only, others = self._only(peer, key.path_id, attributes), self._others(peer, key)
        self._accepted[key.prefix] = (*others, *only) if others else only
        self.changed.add(key.prefix)
        self.withdrawn.discard(key.prefix)

    def _received(self, attributes: Attributes, reason: RejectReason | None) -> ReceivedPath:
        received = ReceivedPath(attributes, reason)
        if received != self._last_received:
            self._last_received = received
        return self._last_received

    def _only(self, peer: PeerSession, path_id: int, attributes: Attributes) -> tuple[AcceptedPath, ...]:
        """Return what is accepted of a prefix with this path alone."""
        only = (AcceptedPath(path_id, CandidatePath(attributes, peer.external, peer.neighbour.address)),)
        if only != self._last_accepted:
            self._last_accepted = only
        return self._last_accepted

    def _others(self, peer: PeerSession, key: PathKey) -> tuple[AcceptedPath, ...]:
        """Return the accepted paths to a prefix but the one with this key of this peer."""
        known = self._accepted.get(key.prefix, ())
        address, path_id = peer.neighbour.address, key.path_id
        return tuple([each for each in known if each.path_id != path_id or each.path.peer != address])

    def _drop(self, peer: PeerSession, keys: Iterable[PathKey]) -> None:
        for key in keys:
            peer.stale.discard(key)
            if (received := peer.routes.pop(key, None)) is not None:
                peer.usage.replace(received.attributes, None)
                self._unaccept(peer, key)

    def _unaccept(self, peer: PeerSession, key: PathKey) -> None:
        left = self._others(peer, key)
        if len(left) == len(self._accepted.get(key.prefix, ())):
            return
        self.changed.add(key.prefix)
        if left:
            self._accepted[key.prefix] = left
            return
        del self._accepted[key.prefix]
        if len(self.withdrawn) < WITHDRAWN_KEPT:
            self.withdrawn.add(key.prefix)

    def _mark_stale(self, peer: PeerSession, families: Collection[Family], until: float) -> None:
        peer.stale |= {key for key in peer.routes if key.prefix.family in families}
        peer.stale_until = until if peer.stale else None

    def _drop_stale(self, peer: PeerSession, families: Collection[Family]) -> None:
        self._drop(peer, [key for key in peer.stale if key.prefix.family in families])
        if not peer.stale:
            peer.stale_until = None

    def _filter_again(self, peer: PeerSession, import_filter: ImportFilter) -> None:
        for key, received in list(peer.routes.items()):
            reason = import_filter.reject_reason(key.prefix, received.attributes, peer.neighbour)
            if reason != received.reject_reason:
                stale = key in peer.stale
                self._put(peer, key, received.attributes, reason)
                if stale:
                    peer.stale.add(key)

    def _enter(self, peer: PeerSession, state: SessionState, now: float) -> None:
        if peer.state is not state:
            peer.state, peer.since = state, now


def _preserved_families(peer: PeerSession) -> set[Family]:
    """Return the families whose forwarding state the peer preserved over its restart, by the F bits of its new OPEN."""
    restart = peer.open.restart if peer.open is not None else None
    return {family for family, preserved in restart.families if preserved} if restart is not None else set()


def _explained(peer: PeerSession, reason: str, rules: ImportFilter | None) -> str:
    """Return why a session ended; of one that two router ids alike keep from coming up, which it is, and the cure."""
    own = rules.local.router_id if rules is not None else b""
    theirs = peer.open.router_id if peer.open is not None else own
    if not refuses_router_id(reason) or peer.external or theirs != own:
        return explain(reason)
    cure = "give one of them another (CALICO_ROUTER_ID of a node)"
    return f"{explain(reason)}: this node and {peer.neighbour.address} have the same, {unpack(own)}; {cure}"


def _wrong_as(neighbour: Neighbour, opened: PeerOpen) -> str:
    if opened.asn == neighbour.peer_as:
        return ""
    return f"the peer's OPEN has AS {opened.asn}, configured is AS {neighbour.peer_as}"
