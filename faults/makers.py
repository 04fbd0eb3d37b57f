"""What carries out each kind of fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from faults.cluster import Cluster
from faults.processes import killed, stopped
from faults.schedule import Fault

Maker = Callable[[Cluster, Fault], AbstractAsyncContextManager[str]]
"""Makes a fault on entering, and undoes on leaving what nobody could repair; yields what was done."""

MAKERS: Mapping[str, Maker] = {
    "kill agent": killed,
    "kill sidecar": killed,
    "kill exabgp": killed,
    "stop agent": stopped,
    "stop sidecar": stopped,
    "stop exabgp": stopped,
}
