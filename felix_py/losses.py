"""Which losses that the datastore reports are held back: losing it is no order to cut everybody off.

Pure: no I/O, no clock, no logging. A cluster has an identity, the GUID of its ClusterInformation. While that is missing
or another, and after nearly everything has gone at once, what the store says is not acted on, and running pods keep
their routes. When the cluster is back, what is still gone is gone.
"""

from __future__ import annotations

from datastore.kinds.cluster import ClusterInformation
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent

Key = tuple[str, str, str]

MANY = 8  # objects: fewer may well go at once
NEARLY_ALL = 0.9
_NAME = "default"


class Losses:
    """Takes the events of one reading of the store, and returns those to fold."""

    def __init__(self, guid: str = "") -> None:
        """guid: the cluster's, as known from before; "" = none is."""
        self.guid = guid
        self.held_back = ""
        """Why nothing of the store is acted on, as a sentence with the way to confirm it; "" = it is."""
        self._known: set[Key] = set()
        self._reading: list[WatchEvent] = []
        self._waiting: list[WatchEvent] = []
        self._reported_guid: str | None = guid or None

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
        settled = events
        if self._waiting:  # of each object only the end of it: what went and came back is what it was
            ready, self._waiting = [*self._waiting, *events], []
            latest = {_key(event): event for event in ready if not isinstance(event, InSync)}
            settled = [event for event in ready if isinstance(event, InSync) or latest[_key(event)] is event]
        gone = {_key(event) for event in settled if isinstance(event, Gone)}
        back = {_key(event) for event in settled if isinstance(event, Changed)}
        lost = len((gone & self._known) - back)  # in all readings since: one object that returns is not the cluster
        self.held_back = self._why(many=lost >= MANY and lost >= NEARLY_ALL * len(self._known), lost=lost)
        if self.held_back:
            self._waiting = settled
            return []
        self._known -= {_key(event) for event in settled if isinstance(event, Gone)}
        self._known |= {_key(event) for event in settled if isinstance(event, Changed)}
        return settled

    def _note_identity(self, event: WatchEvent) -> None:
        match event:
            case Changed(resource=ClusterInformation() as cluster) if cluster.name == _NAME:
                self._reported_guid = cluster.spec.cluster_guid or None
                if not self.guid and self._reported_guid:
                    self.guid = self._reported_guid
            case Gone() if event.kind is ClusterInformation and event.name == _NAME:
                self._reported_guid = None

    def _why(self, *, many: bool, lost: int) -> str:
        if self.guid and self._reported_guid != self.guid:
            found = f"the cluster {self._reported_guid}" if self._reported_guid else "no ClusterInformation default"
            return (
                f"the datastore has {found} instead of the cluster {self.guid}: nothing of it is acted on, and running "
                "pods keep their routes; put the datastore back, or confirm it: remove the file cluster-guid in the "
                "agent's state folder and restart the agent"
            )
        if many:
            return (
                f"nearly everything in the datastore went at once ({lost} objects): nothing of it is "
                "acted on, and running pods keep their routes; put the datastore back, or confirm it: restart the agent"
            )
        return ""


def _key(event: Changed | Gone | Unreadable) -> Key:
    match event:
        case Changed(resource=resource):
            return _of(resource)
        case Gone() | Unreadable():
            return event.kind.KIND, event.namespace or "", event.name


def _of(resource: Resource) -> Key:
    return resource.KIND, resource.namespace or "", resource.name
