"""Where the other nodes' pods are: their blocks, and the borrowed addresses, which lead elsewhere than their block.

Pure: no I/O, no clock, no logging. Records are folded into these small maps as they come, and none is kept: the cost
of a change is the size of the change. Blocks themselves are reported only where no peer announces such single
addresses: see `interests`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.store import Changed, Gone, WatchEvent
from ipam.block import allocations
from ipam.names import affine_host
from net.prefix import Prefix


class RemoteBlocks:
    """Which other node each remote block and each borrowed address leads to, as seen from the node called `own`.

    `changed` collects the prefixes that lead elsewhere since it was last taken.
    """

    def __init__(self, own: str, *, use_pod_cidrs: bool = False) -> None:
        """use_pod_cidrs: what Kubernetes gave a node counts as a block that it claimed."""
        self.own, self._use_pod_cidrs = own, use_pod_cidrs
        self.changed: set[Prefix] = set()
        self._claims: dict[str, tuple[Prefix, str]] = {}  # by the affinity's name
        self._borrowed_of: dict[str, dict[Prefix, str]] = {}  # by the block's name: only blocks that have any
        self._pod_cidrs: dict[str, Sequence[Prefix]] = {}
        self._blocks: dict[Prefix, str] = {}
        self._contested: set[Prefix] = set()  # claimed while another claim of them stood, as one that is out of date
        self._borrowed: dict[Prefix, str] = {}
        self._of_node: dict[str, set[Prefix]] = {}
        self._owners: dict[Prefix, str] = {}
        self._owners_view = MappingProxyType(self._owners)

    def fold(self, event: WatchEvent) -> bool:
        """Take in one watch event; return True if there is something in `changed`."""
        match event:
            case Changed(resource=BlockAffinity() as affinity):
                self._put_affinity(affinity)
            case Changed(resource=Node() as node) if self._use_pod_cidrs:
                self._set_pod_cidrs(node.name, [Prefix.parse(str(network)) for network in node.pod_cidrs])
            case Gone() if event.kind is Node:
                self._set_pod_cidrs(event.name, ())
            case Changed(resource=IPAMBlock() as block):
                self._set_borrowed(block.metadata.name, {} if block.deleted else borrowed_addresses(block))
            case Gone() if event.kind is BlockAffinity:
                self._set_claim(event.name, None)
            case Gone() if event.kind is IPAMBlock:
                self._set_borrowed(event.name, {})
        return bool(self.changed)

    def node_of(self, prefix: Prefix) -> str | None:
        """Return the node to go to; None if it is this one, or none. A borrowed address beats a block of one."""
        node = self._borrowed.get(prefix) or self._blocks.get(prefix)
        return None if node == self.own else node

    def owners(self) -> Mapping[Prefix, str]:
        """Return everything that leads to another node, and to which; always the same view, kept current."""
        return self._owners_view

    def mark_node(self, node: str) -> None:
        """Count what leads to a node as changed: something about the node is new."""
        self.changed |= self._of_node.get(node, set())

    def mark_all(self) -> None:
        self.changed.update(self._owners)

    def take_changed(self) -> set[Prefix]:
        taken, self.changed = self.changed, set()
        return taken

    def _put_affinity(self, affinity: BlockAffinity) -> None:
        """Take in a claim; only a confirmed one of a host leads anywhere."""
        spec = affinity.spec
        leads = affinity.confirmed and not affinity.deleted and spec.type == "host"
        self._set_claim(affinity.metadata.name, (Prefix.parse(spec.cidr), spec.node) if leads else None)

    def _set_pod_cidrs(self, node: str, prefixes: Sequence[Prefix]) -> None:
        before = self._pod_cidrs.pop(node, ())
        if prefixes:
            self._pod_cidrs[node] = prefixes
        for prefix in {*before, *prefixes}:
            self._set_claim(f"{prefix} of the Node {node}", (prefix, node) if prefix in prefixes else None)

    def _set_claim(self, name: str, claim: tuple[Prefix, str] | None) -> None:
        before = self._claims.pop(name, None)
        if claim is not None:
            self._claims[name] = claim
        if claim == before:
            return
        if before is not None and self._blocks.get(before[0]) == before[1]:  # else the next owner was reported first
            self._set_node(self._blocks, before[0], self._other_claimant(before[0]))
        if claim is not None:
            if claim[0] in self._blocks:
                self._contested.add(claim[0])
            self._set_node(self._blocks, *claim)

    def _other_claimant(self, prefix: Prefix) -> str | None:
        """Return whose a block is, by a claim that still stands when another of it has gone."""
        if prefix not in self._contested:
            return None
        nodes = [node for claimed, node in self._claims.values() if claimed == prefix]
        if len(nodes) < 2:
            self._contested.discard(prefix)
        return nodes[-1] if nodes else None

    def _set_borrowed(self, name: str, now: Mapping[Prefix, str]) -> None:
        before = self._borrowed_of.pop(name, {})
        if now:
            self._borrowed_of[name] = dict(now)
        for address in before.keys() - now.keys():
            self._set_node(self._borrowed, address, None)
        for address, node in now.items():
            self._set_node(self._borrowed, address, node)

    def _set_node(self, table: dict[Prefix, str], prefix: Prefix, node: str | None) -> None:
        before = self.node_of(prefix)
        if node is None:
            table.pop(prefix, None)
        else:
            table[prefix] = node
        after = self.node_of(prefix)
        if before == after:
            return
        self.changed.add(prefix)
        if before is not None:
            self._of_node[before].discard(prefix)
            if not self._of_node[before]:
                del self._of_node[before]
            del self._owners[prefix]
        if after is not None:
            self._of_node.setdefault(after, set()).add(prefix)
            self._owners[prefix] = after


def borrowed_addresses(block: IPAMBlock) -> dict[Prefix, str]:
    """Return the addresses of a block that another node than the block's own has, and which.

    A block without a node has only such. Addresses that cool down, and those whose owner names no node, lead nowhere.
    """
    host = affine_host(block.spec.affinity)
    elsewhere = any((attribute.secondary or {}).get("node", host) != host for attribute in block.spec.attributes)
    if not elsewhere:  # as nearly always: one look at each owner, none at the addresses
        return {}
    return {
        Prefix.host(str(one.address)): one.attributes["node"]
        for one in allocations(block)
        if not one.released and one.attributes.get("node", host) != host
    }
