"""The subnets that the addresses of Nodes are in: thousands of Nodes are in a few.

Pure: folded as Nodes come, change and go, so that nobody looks at all of them to know their subnets.
"""

from __future__ import annotations

from collections.abc import Iterable

from datastore.fields import Interface, Network


class Subnets:
    """Which Nodes are in which subnet."""

    def __init__(self) -> None:
        self._of_node: dict[str, tuple[Network, ...]] = {}
        self._nodes_in: dict[Network, dict[str, None]] = {}  # by name, in the order in which they came into it

    def put(self, node: str, interfaces: Iterable[Interface | None] = ()) -> None:
        """Take in the addresses that a Node has now; none: it is gone."""
        subnets = tuple(interface.network for interface in interfaces if interface is not None)
        before = self._of_node.pop(node, ())
        if subnets:
            self._of_node[node] = subnets
        for subnet in {*before}.difference(subnets):
            self._leave(node, subnet)
        for subnet in subnets:
            self._nodes_in.setdefault(subnet, {})[node] = None

    def _leave(self, node: str, subnet: Network) -> None:
        del self._nodes_in[subnet][node]
        if not self._nodes_in[subnet]:
            del self._nodes_in[subnet]

    def examples(self) -> set[str]:
        """Return the names of Nodes among which each subnet has one: that which has been in it longest."""
        return {next(iter(nodes)) for nodes in self._nodes_in.values()}
