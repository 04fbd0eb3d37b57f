"""Where the other nodes' pods are: their blocks, and the single addresses that lie apart from their block's node.

Pure: no I/O, no clock, no logging. Records are folded into these two small maps as they come, and none is kept:
the cost of a change is the size of the change.
"""

from __future__ import annotations

from collections.abc import Mapping

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from ipam.block import allocations
from ipam.names import affine_host
from net.prefix import Prefix


class RemoteBlocks:
    """Which other node each remote block and each borrowed address leads to, as seen from the node called `own`.

    `moved` collects the prefixes that lead elsewhere since it was last taken.
    """

    def __init__(self, own: str) -> None:
        self.own = own
        self.moved: set[Prefix] = set()
        self._claims: dict[str, tuple[Prefix, str]] = {}  # by the affinity's name
        self._strays: dict[str, dict[Prefix, str]] = {}  # by the block's name: only blocks that have any
        self._blocks: dict[Prefix, str] = {}
        self._borrowed: dict[Prefix, str] = {}
        self._of: dict[str, set[Prefix]] = {}

    def node_of(self, prefix: Prefix) -> str | None:
        """Return the node to go to; None if it is this one, or nobody's. A borrowed address beats a block of one."""
        node = self._borrowed.get(prefix) or self._blocks.get(prefix)
        return None if node == self.own else node

    def prefixes(self) -> set[Prefix]:
        """Return everything that leads to another node."""
        return set().union(*self._of.values())

    def node_changed(self, node: str) -> None:
        """Something about a node is new: what leads there is to be looked at again."""
        self.moved |= self._of.get(node, set())

    def take_moved(self) -> set[Prefix]:
        taken, self.moved = self.moved, set()
        return taken

    def affinity_said(self, affinity: BlockAffinity) -> None:
        """Take in a claim; only a confirmed one of a host leads anywhere."""
        spec = affinity.spec
        if affinity.confirmed and not affinity.deleted and spec.type == "host":
            self._claim(affinity.metadata.name, (Prefix.parse(spec.cidr), spec.node))
        else:
            self._claim(affinity.metadata.name, None)

    def affinity_gone(self, name: str) -> None:
        self._claim(name, None)

    def block_said(self, block: IPAMBlock) -> None:
        """Take in a block: of interest are only the addresses that other nodes than the block's own have."""
        self._scatter(block.metadata.name, {} if block.deleted else strays(block))

    def block_gone(self, name: str) -> None:
        self._scatter(name, {})

    def _claim(self, name: str, claim: tuple[Prefix, str] | None) -> None:
        before = self._claims.pop(name, None)
        if claim is not None:
            self._claims[name] = claim
        if claim == before:
            return
        if before is not None and self._blocks.get(before[0]) == before[1]:  # else the next owner was told of first
            self._lead(self._blocks, before[0], None)
        if claim is not None:
            self._lead(self._blocks, *claim)

    def _scatter(self, name: str, now: Mapping[Prefix, str]) -> None:
        before = self._strays.pop(name, {})
        if now:
            self._strays[name] = dict(now)
        for address in before.keys() - now.keys():
            self._lead(self._borrowed, address, None)
        for address, node in now.items():
            self._lead(self._borrowed, address, node)

    def _lead(self, table: dict[Prefix, str], prefix: Prefix, node: str | None) -> None:
        before = self.node_of(prefix)
        if node is None:
            table.pop(prefix, None)
        else:
            table[prefix] = node
        after = self.node_of(prefix)
        if before == after:
            return
        self.moved.add(prefix)
        if before is not None:
            self._of[before].discard(prefix)
            if not self._of[before]:
                del self._of[before]
        if after is not None:
            self._of.setdefault(after, set()).add(prefix)


def strays(block: IPAMBlock) -> dict[Prefix, str]:
    """Return the addresses of a block that another node than the block's own has, and which.

    A block that is nobody's has only such. Resting addresses, and those whose owner names no node, lead nowhere.
    """
    host = affine_host(block.spec.affinity)
    elsewhere = [
        index
        for index, attribute in enumerate(block.spec.attributes)
        if (attribute.secondary or {}).get("node", host) != host
    ]
    if not elsewhere:  # as nearly always: one look at each owner, none at the addresses
        return {}
    return {
        Prefix.host(str(one.address)): one.attributes["node"]
        for one in allocations(block)
        if not one.released and one.attributes.get("node", host) != host
    }
