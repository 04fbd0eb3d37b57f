"""Which of this node's announcements each peer gets, and with which attributes.

Pure: no I/O, no clock, no logging. Peers that get the same form a group, which has one RIB-out. All peers are one
group today and get every route; filters and route reflection are to add groups here, and nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from bgp.speaker import Attributes, Neighbour
from net.prefix import Prefix

ExportGroup: TypeAlias = str

EVERY_PEER: ExportGroup = "every peer"


def export_group(neighbour: Neighbour) -> ExportGroup:
    """Return the group a neighbour belongs to; it depends on the neighbour's configuration alone."""
    return EVERY_PEER


def export_unchanged(group: ExportGroup, prefix: Prefix, attributes: Attributes) -> Attributes | None:
    """Return the attributes with which a group gets a route, None where it does not get the route."""
    return attributes


class ExportPolicy(Struct, frozen=True):
    group_of: Callable[[Neighbour], ExportGroup] = export_group
    exported: Callable[[ExportGroup, Prefix, Attributes], Attributes | None] = export_unchanged
