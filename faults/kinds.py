"""Which faults there are: how long each lasts, and how many probes it may cost.

Pure. What carries a fault out stands in the file of its family: processes.py, routes.py, links.py and so on.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

NONE_LOST = 0
LOST_BY_A_FOREIGN_CHANGE = 2
ANY = None


class Kind(Struct, frozen=True):
    """One kind of fault.

    most_lost: how many probes one fault of it may cost; None: as many as it does. lasts: between how many seconds and
    how many, before it is undone. repaired_after: how many seconds it takes then until all is in sync again, the mean
    on two busy cores.
    """

    name: str
    most_lost: int | None
    lasts: tuple[float, float] = (0.0, 0.0)
    repaired_after: float = 1.6

    @property
    def cheap(self) -> bool:
        """Whether one fault of this kind takes so little of a run that the shortest has one of each."""
        return self.lasts[1] + self.repaired_after <= CHEAP_SECONDS


CHEAP_SECONDS = 3.3

_ALL = (
    Kind("kill agent", NONE_LOST, repaired_after=3.0),
    Kind("kill sidecar", NONE_LOST, repaired_after=3.0),
    Kind("kill exabgp", NONE_LOST),
    Kind("stop agent", NONE_LOST, lasts=(0.3, 1.0)),
    Kind("stop sidecar", NONE_LOST, lasts=(0.3, 1.0)),
    Kind("stop exabgp", NONE_LOST, lasts=(0.3, 1.0)),
    Kind("route deleted", LOST_BY_A_FOREIGN_CHANGE),
    Kind("route replaced", LOST_BY_A_FOREIGN_CHANGE),
    Kind("route added", LOST_BY_A_FOREIGN_CHANGE, lasts=(0.2, 0.5)),
    Kind("route shadowed", ANY, lasts=(0.2, 0.5)),
    Kind("table flushed", ANY, lasts=(0.2, 1.0)),
    Kind("link down", ANY, lasts=(0.2, 2.0)),
    Kind("unplugged", ANY, lasts=(0.2, 2.0)),
    Kind("packets dropped", ANY, lasts=(0.5, 2.0)),
    Kind("mtu changed", ANY, lasts=(0.2, 1.0)),
    Kind("device removed", ANY, lasts=(0.2, 1.0)),
    Kind("device renamed", ANY, lasts=(0.2, 1.0)),
    Kind("addresses flushed", ANY, lasts=(0.2, 1.0)),
    Kind("datastore locked", NONE_LOST, lasts=(0.5, 2.0), repaired_after=1.3),
    Kind("datastore read-only", NONE_LOST, lasts=(1.0, 2.0), repaired_after=3.7),
    Kind("datastore full", NONE_LOST, lasts=(0.5, 2.0), repaired_after=1.1),
    Kind("datastore replaced", NONE_LOST),
    Kind("datastore exchanged", NONE_LOST, lasts=(0.5, 2.0), repaired_after=1.3),
    Kind("clock jumped", NONE_LOST, lasts=(0.5, 1.0)),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
