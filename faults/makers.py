"""What carries out each kind of fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from faults import clock, devices, links, processes, routes, store
from faults.cluster import Cluster
from faults.schedule import Fault

Maker = Callable[[Cluster, Fault], AbstractAsyncContextManager[str]]
"""Makes a fault on entering, and undoes on leaving what nobody could repair; yields what was done."""

MAKERS: Mapping[str, Maker] = {
    "kill agent": processes.killed,
    "kill sidecar": processes.killed,
    "kill exabgp": processes.killed,
    "stop agent": processes.stopped,
    "stop sidecar": processes.stopped,
    "stop exabgp": processes.stopped,
    "route deleted": routes.deleted,
    "route replaced": routes.replaced,
    "route added": routes.added,
    "route shadowed": routes.shadowed,
    "table flushed": routes.flushed,
    "link down": links.down,
    "unplugged": links.unplugged,
    "packets dropped": links.dropped,
    "mtu changed": links.mtu_changed,
    "device removed": devices.removed,
    "device renamed": devices.renamed,
    "addresses flushed": devices.addresses_flushed,
    "datastore locked": store.locked,
    "datastore read-only": store.read_only,
    "datastore full": store.full,
    "datastore replaced": store.replaced,
    "datastore exchanged": store.exchanged,
    "clock jumped": clock.jumped,
}
