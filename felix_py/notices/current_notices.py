"""Which notices hold at present, and which of them are new.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.notices import Notice
from datastore.record import Resource
from datastore.store import Changed, Gone, Unreadable, WatchEvent
from felix_py.notices.unobeyed_fields import notices_of

_WRITTEN_BY_PROGRAMS = (IPAMBlock, BlockAffinity)  # often, and every field is read

_KEPT = "what was known of it still holds"
_WHILE_UNREAD: Mapping[type[Resource], str] = {
    IPPool: ", but pods get no more addresses of it",
    IPAMConfig: "; if nothing was, pods get no addresses",
    BGPConfiguration: "; if nothing was, BGP sessions stay as they are, and a new node has none",
    BGPPeer: "; if nothing was, it yields no session",
    FelixConfiguration: "; if nothing was, the usual values apply",
}
"""What becomes of an object that can't be read beside that."""
_OF_A_NODE = "; if nothing was, the node goes by what is set for all"

Origin = tuple[str, str, str]


class CurrentNotices:
    """The notices of one agent, by where they come from. A notice is new once; again only if it was gone meanwhile."""

    def __init__(self, node: str, *, has_namespaces: bool = False) -> None:
        """node: this node's name; the Nodes of others are theirs to report. has_namespaces: as in `notices_of`."""
        self._node, self._has_namespaces = node, has_namespaces
        self._by_origin: dict[Origin, tuple[Notice, ...]] = {}
        self._origins: Counter[Notice] = Counter()  # how many origins have it

    def all(self) -> tuple[Notice, ...]:
        """Return each notice once, in order."""
        return tuple(sorted(self._origins))

    def fold(self, event: WatchEvent, failures: Iterable[Exception] = ()) -> tuple[Notice, ...]:
        """Take in one event of the datastore; return the notices that are new. failures: why it cannot be used."""
        match event:
            case Changed(resource=resource):
                found = [_unusable(resource, failure) for failure in failures]
                if not self._yields_none(resource):
                    try:
                        found += notices_of(resource, has_namespaces=self._has_namespaces)
                    except Exception as failure:
                        found = found or [_unusable(resource, failure)]  # once is enough, whoever fails over it
                origin = _origin(resource)
                return self._put(origin, tuple(dict.fromkeys(found))) if found or origin in self._by_origin else ()
            case Unreadable(kind, name, namespace, reason):
                shown = f"{namespace}/{name}" if namespace else name
                effect = _KEPT + _while_unread(kind, name)
                unread = Notice(kind.KIND, shown, "", f"it cannot be read: {reason}", effect)
                return self._put((kind.KIND, namespace or "", name), (unread,))
            case Gone():
                self._put((event.kind.KIND, event.namespace or "", event.name), ())
        return ()

    def put(self, part: str, notices: Iterable[Notice]) -> tuple[Notice, ...]:
        """Take in all notices of one part of the agent, such as its settings; return those that are new."""
        return self._put((part, "", ""), tuple(notices))

    def _put(self, origin: Origin, notices: tuple[Notice, ...]) -> tuple[Notice, ...]:
        before, now = set(self._by_origin.pop(origin, ())), set(notices)
        new = tuple(notice for notice in dict.fromkeys(notices) if notice not in self._origins)
        self._origins.update(now)
        self._origins.subtract(before)
        for notice in before - now:
            if not self._origins[notice]:
                del self._origins[notice]
        if notices:
            self._by_origin[origin] = notices
        return new

    def _yields_none(self, resource: Resource) -> bool:
        return isinstance(resource, _WRITTEN_BY_PROGRAMS) or (
            isinstance(resource, Node) and resource.name != self._node
        )


def _while_unread(kind: type[Resource], name: str) -> str:
    if kind in (BGPConfiguration, FelixConfiguration) and name.startswith("node."):
        return _OF_A_NODE
    return _WHILE_UNREAD.get(kind, "")


def _unusable(resource: Resource, failure: Exception) -> Notice:
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    reason = f"it cannot be used ({type(failure).__name__}: {failure})"
    return Notice(resource.KIND, name, "", reason, "this object is left out, and what it said before still holds")


def _origin(resource: Resource) -> Origin:
    return resource.KIND, resource.namespace or "", resource.name
