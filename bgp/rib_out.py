"""Adj-RIB-out per group of peers: what is wanted, what ExaBGP was given, and the batches between.

Pure: no I/O, no logging; the clock is an argument, in seconds of any one origin. ExaBGP may send two changes of one
prefix in the wrong order if both are in its hands at once, so a batch names each prefix once, and the next batch of a
group is made only when the last was answered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from msgspec import Struct, field

from bgp.export_policy import ExportGroup, ExportPolicy
from bgp.speaker import Attributes, Neighbour
from net.family import Family
from net.prefix import Prefix

# A peer keeps our routes for the restart time and waits for our end-of-RIB; with no agent it must come a bit before.
END_OF_RIB_MARGIN_SECONDS = 20.0


class Batch(Struct, frozen=True):
    """One step from sent to wanted. `withdraw` has the attributes that were announced."""

    announce: Mapping[Prefix, Attributes] = field(default_factory=dict)
    withdraw: Mapping[Prefix, Attributes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.announce or self.withdraw)


class Lacking(Struct, frozen=True):
    """A member whose ExaBGP neighbour does not have what the group was sent, but `has`.

    when_up: the neighbour is only certain to exist in ExaBGP once its session is up, for a reload makes it.
    uncertain: what ExaBGP was being told when the member left its group, so that it may have it or not.
    """

    has: Mapping[Prefix, Attributes]
    when_up: bool
    uncertain: frozenset[Prefix] = frozenset()


class PendingEndOfRib(Struct, frozen=True):
    """A session that is up since `since` and has not had its end-of-RIB in these families."""

    since: float
    families: tuple[Family, ...]


class Member(Struct):
    """One neighbour of a group, and what of the group's table is still to be brought to it."""

    neighbour: Neighbour
    up: bool = False
    reloading: bool = False
    lacking: Lacking | None = None
    end_of_rib: PendingEndOfRib | None = None

    @property
    def needs_full_table(self) -> bool:
        """Not before the end of the reload that makes the neighbour: it would go to the one before."""
        return self.lacking is not None and not self.reloading and (self.up or not self.lacking.when_up)

    def end_of_rib_is_late(self, now: float) -> bool:
        """True once the peer, which waits for one that restarts, would soon wait no longer."""
        since = now if self.end_of_rib is None else self.end_of_rib.since
        return now - since > latest_end_of_rib(self.neighbour.restart_time)


class RibOut:
    """The routes announced to one group of peers."""

    def __init__(self, *, complete: bool = False) -> None:
        self.complete = complete
        self.members: dict[str, Member] = {}
        self.sent: dict[Prefix, Attributes] = {}
        self._wanted: dict[Prefix, Attributes] = {}
        self._pending: dict[Prefix, None] = {}  # in order of their first change
        self._in_flight = Batch()

    @property
    def pending(self) -> int:
        return len(self._pending)

    # The table

    def put(self, routes: Mapping[Prefix, Attributes]) -> None:
        self._wanted.update(routes)
        self._pending.update(dict.fromkeys(routes))

    def remove(self, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            if self._wanted.pop(prefix, None) is not None:
                self._pending[prefix] = None

    def replace(self, routes: Mapping[Prefix, Attributes]) -> None:
        """State everything: what is not in `routes` is no longer wanted."""
        self.remove(self._wanted.keys() - routes.keys())
        self.put({prefix: a for prefix, a in routes.items() if self._wanted.get(prefix) != a})
        self.complete = True

    def next_batch(self, limit: int) -> Batch:
        """Return the difference for at most `limit` of the changed prefixes, the longest waiting first."""
        prefixes = list(islice(self._pending, limit))
        for prefix in prefixes:
            del self._pending[prefix]
        self._in_flight = Batch(
            {p: self._wanted[p] for p in prefixes if p in self._wanted and self._wanted[p] != self.sent.get(p)},
            {p: self.sent[p] for p in prefixes if p not in self._wanted and p in self.sent},
        )
        return self._in_flight

    def answered(self, batch: Batch) -> None:
        """ExaBGP has taken a batch in: it sends it to each member that is, or comes, up."""
        self.sent.update(batch.announce)
        for prefix in batch.withdraw:
            self.sent.pop(prefix, None)
        self._in_flight = Batch()

    # The members

    def join(self, member: Member) -> None:
        """Add a member. One that lacks nothing gets every batch that is still to come, and nothing else."""
        self.members[member.neighbour.address] = member

    def leave(self, address: str) -> Member:
        """Remove a member; return it with what it has, for the group that it joins."""
        member = self.members.pop(address)
        told = self._in_flight
        uncertain = frozenset((*told.announce, *told.withdraw))
        member.lacking = member.lacking or Lacking({**self.sent, **told.announce}, when_up=False, uncertain=uncertain)
        return member

    def receivers(self) -> list[str]:
        """Return the members that batches are for: one that lacks the table gets all of it instead."""
        return [address for address, member in self.members.items() if member.lacking is None]

    def up(self, address: str, families: tuple[Family, ...], now: float) -> None:
        member = self.members[address]
        member.up, member.end_of_rib = True, PendingEndOfRib(now, families)

    def down(self, address: str) -> None:
        member = self.members[address]
        member.up, member.end_of_rib = False, None

    def need_full_table(self) -> list[str]:
        """Return the members that are to be given the whole table now."""
        return [address for address, member in self.members.items() if member.needs_full_table]

    def full_table(self, address: str) -> Batch:
        """Return what brings one member from what it has to what the group was sent; it lacks nothing after that."""
        member = self.members[address]
        lacking = member.lacking or Lacking(self.sent, when_up=False)
        has, uncertain = lacking.has, lacking.uncertain
        member.lacking = None
        return Batch(
            {p: attributes for p, attributes in self.sent.items() if p in uncertain or has.get(p) != attributes},
            {p: attributes for p, attributes in has.items() if p not in self.sent},
        )

    # The ends-of-RIB

    def end_of_rib_due(self, now: float) -> dict[str, PendingEndOfRib]:
        """Return the members that get their end-of-RIB now: all that wait for it and lack nothing of a complete table.

        Until then it is held back, for a peer drops whatever was not repeated by then; but not too long.
        """
        return {
            address: member.end_of_rib
            for address, member in self.members.items()
            if member.end_of_rib is not None
            and member.lacking is None
            and (self.complete or member.end_of_rib_is_late(now))
        }

    def needs_end_of_rib(self, address: str, pending: PendingEndOfRib) -> bool:
        """True while this very session waits, and has the table: one that came up anew needs its own, later."""
        member = self.members.get(address)
        return member is not None and member.end_of_rib is pending and member.lacking is None

    def end_of_rib_sent(self, address: str, pending: PendingEndOfRib) -> None:
        member = self.members.get(address)
        if member is not None and member.end_of_rib is pending:
            member.end_of_rib = None

    # ExaBGP

    def speaker_started(self) -> None:
        """A new ExaBGP process has nothing.

        A member that a reload makes still lacks the table: the process may have been started from a file without that
        neighbour, whose reload is under way.
        """
        self.sent.clear()
        self._in_flight = Batch()
        self._pending = dict.fromkeys(self._wanted)
        for member in self.members.values():
            if member.lacking is not None and not member.lacking.when_up:
                member.lacking = None
        self.speaker_stopped()

    def speaker_stopped(self) -> None:
        for member in self.members.values():
            member.up, member.end_of_rib = False, None


class RibsOut:
    """The RIB-out of each group of peers, all fed from one table. `complete` once an agent has stated all of it."""

    def __init__(self, policy: ExportPolicy | None = None) -> None:
        self.complete = False
        self.groups: dict[ExportGroup, RibOut] = {}
        self._policy = policy or ExportPolicy()
        self._stated: dict[Prefix, Attributes] = {}
        self._group_of: dict[str, ExportGroup] = {}

    def put(self, routes: Mapping[Prefix, Attributes]) -> None:
        self._stated.update(routes)
        for group, rib in self.groups.items():
            exported = self._exported(group, routes)
            rib.put(exported)
            rib.remove(routes.keys() - exported.keys())

    def remove(self, prefixes: Collection[Prefix]) -> None:
        for prefix in prefixes:
            self._stated.pop(prefix, None)
        for rib in self.groups.values():
            rib.remove(prefixes)

    def replace(self, routes: Mapping[Prefix, Attributes]) -> None:
        """State everything: what is not in `routes` is no longer wanted."""
        self._stated, self.complete = dict(routes), True
        for group, rib in self.groups.items():
            rib.replace(self._exported(group, routes))

    def set_neighbours(self, neighbours: Iterable[Neighbour], new: Collection[str] = ()) -> None:
        """Sort the neighbours into groups.

        `new` are those that a reload of ExaBGP, which is about to begin, is to make or to make anew: see `reload_done`.
        """
        wanted = {neighbour.address: neighbour for neighbour in neighbours}
        for address in self._group_of.keys() - wanted.keys():
            self._leave(address)
        for address, neighbour in wanted.items():
            group = self._policy.group_of(neighbour)
            before = self.of(address)
            if before is None:
                member = Member(neighbour)
            elif self._group_of[address] != group:
                member = self._leave(address)
            else:
                member = before.members[address]
            member.neighbour = neighbour
            if address in new:
                member.reloading, member.lacking = True, Lacking({}, when_up=True)
            self._join(group, member)

    def reload_done(self) -> None:
        """A reload has ended, well or not."""
        for rib in self.groups.values():
            for member in rib.members.values():
                member.reloading = False

    def of(self, address: str) -> RibOut | None:
        """Return the RIB-out of the group that a neighbour is in; None: no such neighbour."""
        group = self._group_of.get(address)
        return None if group is None else self.groups[group]

    def sent_to(self, address: str) -> Mapping[Prefix, Attributes]:
        rib = self.of(address)
        return {} if rib is None else rib.sent

    def speaker_started(self) -> None:
        for rib in self.groups.values():
            rib.speaker_started()

    def speaker_stopped(self) -> None:
        for rib in self.groups.values():
            rib.speaker_stopped()

    def _exported(self, group: ExportGroup, routes: Mapping[Prefix, Attributes]) -> dict[Prefix, Attributes]:
        exported = self._policy.exported
        found = ((prefix, exported(group, prefix, attributes)) for prefix, attributes in routes.items())
        return {prefix: attributes for prefix, attributes in found if attributes is not None}

    def _join(self, group: ExportGroup, member: Member) -> None:
        if group not in self.groups:
            rib = self.groups[group] = RibOut(complete=self.complete)
            rib.put(self._exported(group, self._stated))
        self._group_of[member.neighbour.address] = group
        self.groups[group].join(member)

    def _leave(self, address: str) -> Member:
        group = self._group_of.pop(address)
        member = self.groups[group].leave(address)
        if not self.groups[group].members:
            del self.groups[group]
        return member


def latest_end_of_rib(restart_time: int) -> float:
    """Return how many seconds after a session came up its end-of-RIB may be held back."""
    return restart_time - min(END_OF_RIB_MARGIN_SECONDS, restart_time / 2)
