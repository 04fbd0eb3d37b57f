"""Which losses that the datastore reports are held back: losing it is no order to cut everybody off.

Pure: no I/O, no clock, no logging. A cluster has an identity, the GUID of its ClusterInformation. While that is missing
or another, and after nearly everything has gone at once, what the store says is not acted on, and running pods keep
their routes. When most of what went is back, what is still gone is gone. An endpoint whose pod no longer runs may go,
as when a node is drained: it is never counted as lost.

Which records there were outlives the agent, as a note beside the cluster's GUID: a restart confirms no loss, and one
that happened while no agent ran is found too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent

MANY = 5  # records: fewer may well go at once
NEARLY_ALL = 0.9
MOST_BACK = 0.75
NOTED_CHANGE = 0.25  # of how many records there are: a note for each pod would be a write for each pod

_NAME = "default"
_WRITTEN_BY_PROGRAMS = frozenset(kind.KIND for kind in (WorkloadEndpoint, IPAMBlock, BlockAffinity))
_MANY_AND_OFTEN = _WRITTEN_BY_PROGRAMS | {Node.KIND}  # these are noted by their number


class RecordKey(NamedTuple):
    kind: str
    namespace: str
    name: str

    @property
    def is_endpoint(self) -> bool:
        return self.kind == WorkloadEndpoint.KIND


class Note(Struct, frozen=True):
    """What an agent knew of its cluster. records: each with its pod's device, "" for those that are no endpoints."""

    guid: str = ""
    held: bool = False
    records: Mapping[RecordKey, str] = field(default_factory=dict)

    @property
    def has_pools(self) -> bool:
        return any(key.kind == IPPool.KIND for key in self.records)

    @property
    def written_by_people(self) -> frozenset[RecordKey]:
        return frozenset(key for key in self.records if key.kind not in _WRITTEN_BY_PROGRAMS)

    def is_lost(self, there: Collection[RecordKey]) -> bool:
        """Whether so few of those that people write are there that this is a loss, or still is one."""
        known = self.written_by_people
        missing = len(known.difference(there))
        if self.held:
            return missing > (1 - MOST_BACK) * len(known)
        return missing >= MANY and missing >= NEARLY_ALL * len(known)

    def to_text(self) -> str:
        rows = [[*key, device] for key, device in self.records.items()]
        return json.dumps({"cluster": self.guid, "held": self.held, "records": rows})

    @classmethod
    def of(cls, text: str, guid: str) -> Note:
        """Return the note in a file; an empty one if it is of another cluster, or none."""
        try:
            content = json.loads(text)
            if not guid or content["cluster"] != guid:
                return cls(guid)
            records = {RecordKey(str(k), str(space), str(name)): str(d) for k, space, name, d in content["records"]}
            return cls(guid, bool(content["held"]), records)
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls(guid)


class Losses:
    """Takes the events of one reading of the store, and returns those to fold."""

    def __init__(self, note: Note | None = None, runs: Callable[[RecordKey, str], bool] | None = None) -> None:
        """note: what the agent before knew. runs: whether the pod of an endpoint, with its device, still runs here."""
        note = note or Note()
        self.guid = note.guid
        self.held_back = ""
        """Why nothing of the store is acted on, as a sentence with the way to confirm it; "" = it is."""
        self._runs = runs or (lambda key, device: True)
        self._known = dict(note.records)  # as acted on
        self._missing: set[RecordKey] = set()  # known, and not in the store
        self._there: set[RecordKey] | None = set()  # in the store, until the first complete picture
        self._many = note.held
        self._reading: list[WatchEvent] = []
        self._waiting: list[WatchEvent] = []
        self._reported_guid: str | None = note.guid or None
        self._note_due, self._noted_count = False, len(self._known)

    @property
    def count(self) -> int:
        """How many events are held back."""
        return len(self._waiting)

    def add(self, event: WatchEvent) -> bool:
        """Take in an event; return whether it is the first of its reading, after which `take` is due."""
        self._reading.append(event)
        return len(self._reading) == 1

    def take(self) -> list[WatchEvent]:
        """Return what is to be folded by now, in order: what was held back, and the events of this reading."""
        events, self._reading = self._reading, []
        for event in events:
            self._note_identity(event)
            self._look_for_missing(event)
        settled = list(_last_of_each([*self._waiting, *events])) if self._waiting else events
        if self._there is None and self._many != (many := self._are_many()):
            self._many, self._note_due = many, True
        self.held_back = self._why()
        self._waiting = settled if self.held_back else []
        return [] if self.held_back else self._act_on(settled)

    def begin_again(self) -> None:
        """Take what the store reports from now on for a new picture: what it lacks at its end is gone."""
        self._there = set()
        self._reading = []

    def note(self) -> Note | None:
        """Return what to write down, if enough has changed since the last one. Not before the first full picture."""
        if self._there is not None or not self.guid:
            return None
        count = len(self._known)
        if not self._note_due and abs(count - self._noted_count) <= NOTED_CHANGE * self._noted_count:
            return None
        self._note_due, self._noted_count = False, count
        return Note(self.guid, self._many, self._known)

    def _note_identity(self, event: WatchEvent) -> None:
        match event:
            case Changed(resource=ClusterInformation() as cluster) if cluster.name == _NAME:
                self._reported_guid = cluster.spec.cluster_guid or None
                if not self.guid and self._reported_guid:
                    self.guid = self._reported_guid
            case Gone() if event.kind is ClusterInformation and event.name == _NAME:
                self._reported_guid = None

    def _look_for_missing(self, event: WatchEvent) -> None:
        match event:
            case InSync() if self._there is not None:
                self._missing |= self._known.keys() - self._there
                self._there = None
            case InSync():
                pass
            case Gone():
                if (key := _key(event)) in self._known:
                    self._missing.add(key)
                if self._there is not None:
                    self._there.discard(key)
            case _:
                self._missing.discard(key := _key(event))
                if self._there is not None:
                    self._there.add(key)

    def _are_many(self) -> bool:
        """Whether nearly everything is missing; once it was, whether most of it still is."""
        if not self._missing:
            return False
        lost = sum(map(self._counts, self._missing))
        if not self._many and lost < MANY:
            return False
        limit = 1 - MOST_BACK if self._many else NEARLY_ALL
        total = sum(map(self._counts, self._known))
        return lost > limit * total if self._many else lost >= limit * total

    def _counts(self, key: RecordKey) -> bool:
        return not key.is_endpoint or self._runs(key, self._known[key])

    def _act_on(self, events: list[WatchEvent]) -> list[WatchEvent]:
        """Return the events, and the end of what a new picture lacks; take what they say for known."""
        reported = set()
        for event in events:
            if not isinstance(event, InSync):
                reported.add(key := _key(event))
                if not isinstance(event, Gone):
                    self._note_due |= key not in self._known and key.kind not in _MANY_AND_OFTEN
                    self._known[key] = _device(event)
        if self._there is not None or not self._missing:
            return events
        ends = [_end_of(key) for key in self._missing - reported if key.kind in KINDS]
        for key in self._missing:
            self._note_due |= key.kind not in _MANY_AND_OFTEN
            del self._known[key]
        self._missing.clear()
        return [*ends, *events]

    def _why(self) -> str:
        if self.guid and self._reported_guid != self.guid:
            found = f"the cluster {self._reported_guid}" if self._reported_guid else "no ClusterInformation default"
            return (
                f"the datastore has {found} instead of the cluster {self.guid}: nothing of it is acted on, and running "
                "pods keep their routes; put the datastore back, or confirm it: remove the file cluster-guid in the "
                "agent's state folder and restart the agent"
            )
        if self._many and self._there is not None:
            return "nearly everything in the datastore had gone: nothing is acted on until it has been read whole"
        if self._many:
            return (
                f"nearly everything in the datastore went at once ({len(self._missing)} of {len(self._known)} records "
                "are missing): nothing of it is acted on, and running pods keep their routes; put the datastore back, "
                "or confirm it: remove the file known-records in the agent's state folder and restart the agent"
            )
        return ""


def _last_of_each(events: list[WatchEvent]) -> Iterator[WatchEvent]:
    """Yield the last event of each object, and every InSync: what went and came back is what it was."""
    latest = {_key(event): event for event in events if not isinstance(event, InSync)}
    return (event for event in events if isinstance(event, InSync) or latest[_key(event)] is event)


def _end_of(key: RecordKey) -> Gone:
    return Gone(KINDS[key.kind], key.name, key.namespace or None)


def _device(event: Changed | Unreadable) -> str:
    match event:
        case Changed(resource=WorkloadEndpoint() as endpoint):
            return endpoint.spec.interface_name or ""
    return ""


def _key(event: Changed | Gone | Unreadable) -> RecordKey:
    match event:
        case Changed(resource=resource):
            return _of(resource)
        case Gone() | Unreadable():
            return RecordKey(event.kind.KIND, event.namespace or "", event.name)


def _of(resource: Resource) -> RecordKey:
    return RecordKey(resource.KIND, resource.namespace or "", resource.name)
