"""Which two ends are asked about: a name or an address becomes a pod, a node, or an address of neither.

Pure.
"""

from __future__ import annotations

from msgspec import Struct

from explain.records import ClusterRecords, PodRecord
from net.prefix import Prefix


class Unclear(ValueError):
    """The question has no answer as it was put; the message says what to ask instead."""


class End(Struct, frozen=True):
    """asked: as it was put. node: where packets for its address should arrive, "" = outside of the cluster."""

    asked: str
    address: str = ""
    pod: PodRecord | None = None
    node: str = ""

    @property
    def title(self) -> str:
        return self.pod.title if self.pod else self.asked

    @property
    def is_node(self) -> bool:
        return self.pod is None and self.asked == self.node

    @property
    def sends(self) -> bool:
        """False for an address of one of our blocks that no pod has."""
        return self.pod is not None or self.is_node or not self.node

    @property
    def version(self) -> int:
        return 6 if ":" in self.address else 4


def ends_of(records: ClusterRecords, one: str, other: str) -> tuple[End, End]:
    """Return the two ends in a family that both have, IPv4 if possible.

    Raises Unclear: both are the same, a name that several namespaces have, or no family in common.
    """
    if one == other:
        raise Unclear(f"why {one} {other}: both are the same; name two ends")
    candidates = [_candidates(records, asked) for asked in (one, other)]
    for version in (4, 6):
        pair = [next((end for end in ends if not end.address or end.version == version), None) for ends in candidates]
        if pair[0] and pair[1]:
            return pair[0], pair[1]
    raise Unclear(f"why {one} {other}: they have no address family in common")


def _candidates(records: ClusterRecords, asked: str) -> list[End]:
    """Return an end for each of its addresses; one without address for a pod that is not attached."""
    if ":" in asked or asked.replace(".", "").isdecimal():
        try:
            return [_end_at(records, Prefix.host(asked).address)]
        except ValueError as error:
            raise Unclear(f"why {asked}: {error}") from None
    if asked in records.nodes:
        return [End(asked, address, node=asked) for address in records.nodes[asked]]
    found = pods_named(records, asked)
    ends = [End(asked, address, pod, pod.node) for pod in found for address in pod.addresses]
    return ends or [End(asked, pod=found[0] if found else None)]


def pods_named(records: ClusterRecords, asked: str) -> list[PodRecord]:
    """Return the endpoints of the pod called `name` or `namespace/name`. Raises Unclear: several pods are."""
    namespace, slash, name = asked.rpartition("/")
    found = [pod for pod in records.pods if pod.pod == name and (not slash or pod.namespace == namespace)]
    if len({pod.namespace for pod in found}) > 1:
        titles = " or ".join(sorted(pod.title for pod in found))
        raise Unclear(f"why {asked}: several namespaces have a pod of that name; say {titles}")
    return found


def _end_at(records: ClusterRecords, address: str) -> End:
    pod = records.pod_of(address)
    if pod:
        return End(address, address, pod, pod.node)
    node = records.node_of(address)
    if node:
        return End(node, address, node=node)
    block = records.block_of(address)
    return End(address, address, node=block.owner or "" if block else "")
