"""What a controller knows of its cluster from its watch: which nodes there are, who claims blocks, and what is set.

Pure: events are folded in. A record that cannot be read is there.
"""

from __future__ import annotations

from typing import Any

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.passthrough import PASSTHROUGH
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Interest, Unreadable, WatchEvent

KubeControllersConfiguration = PASSTHROUGH["KubeControllersConfiguration"]
INTERESTS: tuple[type[Resource] | Interest[Any], ...] = (
    Node,
    BlockAffinity,
    IPPool,
    Interest(ClusterInformation, name="default"),
    Interest(KubeControllersConfiguration, name="default"),
)
UNREAD = "the datastore has not been read yet"


class ClusterView:
    def __init__(self, guid: str | None = None) -> None:
        """guid: of the cluster that this controller began with; None: it has not seen one yet."""
        self.guid = guid
        self.nodes: set[str] = set()
        self.pools: dict[str, IPPool] = {}
        self.configuration: Resource | None = None
        """KubeControllersConfiguration `default`, as it was last read."""
        self._hosts: dict[str, str] = {}  # by the name of the affinity
        self._information: ClusterInformation | None = None
        self._in_sync = False

    def fold(self, event: WatchEvent) -> bool:
        """Take in an event; return whether a host may have gone by it."""
        match event:
            case InSync():
                self._in_sync = True
                return True
            case Changed(resource=Node() as node):
                self.nodes.add(node.name)
            case Unreadable() if event.kind is Node:
                self.nodes.add(event.name)
            case Gone() if event.kind is Node:
                self.nodes.discard(event.name)
                return True
            case Changed(resource=BlockAffinity() as affinity) if affinity.spec.type == "host":
                self._hosts[affinity.name] = affinity.spec.node
                return affinity.spec.node not in self.nodes
            case Gone() if event.kind is BlockAffinity:
                self._hosts.pop(event.name, None)
            case Changed(resource=IPPool() as pool):
                self.pools[pool.name] = pool
            case Gone() if event.kind is IPPool:
                self.pools.pop(event.name, None)
            case Changed(resource=found) if isinstance(found, KubeControllersConfiguration):
                self.configuration = found
            case Gone() if event.kind is KubeControllersConfiguration:
                self.configuration = None
            case Changed(resource=ClusterInformation() as information):
                self._information = information
                self.guid = self.guid or information.spec.cluster_guid
            case Gone() | Unreadable() if event.kind is ClusterInformation:
                self._information = None
        return False

    @property
    def gone(self) -> frozenset[str]:
        """Hosts that claim blocks and are no nodes any more; none before all has been read."""
        return frozenset(self._hosts.values()) - self.nodes if self._in_sync else frozenset()

    @property
    def paused(self) -> str:
        """Why nothing is to be given back now, as a clause; "": it is."""
        information = self._information
        if not self._in_sync:
            return UNREAD
        if information is None:
            return "the datastore has no ClusterInformation default that can be read: it may have been emptied"
        if information.spec.cluster_guid != self.guid:
            found, known = information.spec.cluster_guid, self.guid
            return f"the datastore has the cluster {found} instead of {known}; restart the controller if that is right"
        if information.is_incomplete:
            return "an import into the datastore is not complete"
        if not information.spec.datastore_ready:
            return "an administrator has locked the datastore (datastoreReady is not true)"
        return ""
