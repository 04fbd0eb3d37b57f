"""Configurations named `node.NAME` of which there is no such node, as after a typing error: they have no effect.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from datastore.field_rules import NotObeyed, notice_of
from datastore.notices import Notice
from datastore.record import Resource

PREFIX = "node."
OF_NO_NODE = NotObeyed("there is no node of that name", "it has no effect until there is one")


def of_no_node(nodes: Collection[str], configurations: Iterable[Resource]) -> Iterator[Notice]:
    """Yield a notice for each configuration of a node that is not among these."""
    for one in configurations:
        if one.name.startswith(PREFIX) and one.name.removeprefix(PREFIX) not in nodes:
            yield notice_of(one, "", OF_NO_NODE)
