"""Which addresses are plainly in order: the very pod that each is assigned to has it.

Pure. In a sound cluster these are nearly all, and whoever looks for faults need not look at them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from datastore.fields import Address
from datastore.summaries import AnyEndpoint
from ipam.block import Allocation


class Matching(NamedTuple):
    """Assigned addresses, and those of endpoints, side by side."""

    matched: Sequence[Allocation]
    """What is assigned to a pod that has it, by its name, its namespace and its node."""
    rest: Sequence[Allocation]
    """All other addresses that are assigned, in the order in which they were given."""
    users: Mapping[Address, AnyEndpoint]
    """The addresses of endpoints that are not among the matched, in the order in which they were given."""


def match(assigned: Iterable[Allocation], endpoint_of: Mapping[Address, AnyEndpoint]) -> Matching:
    """Return which of these are assigned to the endpoint that has them."""
    matched: list[Allocation] = []
    rest: list[Allocation] = []
    users = dict(endpoint_of)
    mistaken: set[Address] = set()
    for one in assigned:
        user = users.pop(one.address, None)
        if user is not None and _is_of(one, user):
            matched.append(one)
            continue
        rest.append(one)
        if user is not None:
            mistaken.add(one.address)
    if mistaken:
        users = {address: user for address, user in endpoint_of.items() if address in users or address in mistaken}
    return Matching(matched, rest, users)


def _is_of(one: Allocation, user: AnyEndpoint) -> bool:
    attributes, spec = one.attributes, user.spec
    return (
        attributes.get("pod") == spec.pod is not None
        and attributes.get("namespace") == user.namespace is not None
        and attributes.get("node") == spec.node
        and "type" not in attributes
    )
