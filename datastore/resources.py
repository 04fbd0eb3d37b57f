"""The kinds of resource by name, and the object that a decoded record of any of them holds.

Pure. A record becomes a value once, at the border (`read`), and is written back as it was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.passthrough import PASSTHROUGH
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool, IPReservation
from datastore.record import Resource

_KINDS: tuple[type[Resource], ...] = (
    IPPool,
    IPReservation,
    BGPConfiguration,
    BGPPeer,
    BGPFilter,
    IPAMConfig,
    BlockAffinity,
    IPAMBlock,
    IPAMHandle,
    ClusterInformation,
    Node,
    WorkloadEndpoint,
    FelixConfiguration,
    *PASSTHROUGH.values(),
)

KINDS: Mapping[str, type[Resource]] = {kind.KIND: kind for kind in _KINDS}
_BY_ANY_NAME = {name: kind for kind in KINDS.values() for name in (kind.KIND, *kind.ALIASES)}


def kind_named(name: str) -> type[Resource]:
    """Return the kind that a record's `kind` names, by any of its names.

    Raises Invalid: there is none.
    """
    try:
        return _BY_ANY_NAME[name]
    except KeyError:
        raise Invalid(f'kind "{name}" is not known: known are {", ".join(sorted(KINDS))}') from None


def read(record: object) -> Resource:
    """Return the object that a decoded record holds; its `kind` decides which.

    Raises Invalid: it has no known kind, or something in it is wrong (each thing in one clause).
    """
    match record:
        case {"kind": str(name)}:
            return kind_named(name).read(record)
        case {}:
            raise Invalid("read a record: it has no kind")
        case _:
            raise Invalid(f"read a record: it is not a mapping but {type(record).__name__}")
