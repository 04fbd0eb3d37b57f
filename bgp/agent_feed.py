"""What one agent has been told of the learned routes, and what is next.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from bgp.protocol import PER_LINE, Learned, Withdrawn
from bgp.rib_in import RibIn
from net.prefix import Prefix


class AgentFeed:
    """What one agent has been told against what RIB-in holds now; at first it knows nothing, and all waits."""

    def __init__(self, rib_in: RibIn) -> None:
        self._rib_in = rib_in
        self._told: dict[Prefix, tuple[bytes, ...]] = {}
        self._pending: dict[Prefix, None] = dict.fromkeys(rib_in.prefixes())

    def mark(self, prefixes: Iterable[Prefix]) -> None:
        self._pending.update(dict.fromkeys(prefixes))

    def next_messages(self) -> list[Learned | Withdrawn] | None:
        """Return what there is to say of the next PER_LINE waiting prefixes, or None when none waits."""
        if not self._pending:
            return None
        learned: dict[Prefix, tuple[bytes, ...]] = {}
        withdrawn = []
        for prefix in list(islice(self._pending, PER_LINE)):
            del self._pending[prefix]
            next_hops = self._rib_in.next_hops(prefix)
            if next_hops and self._told.get(prefix) != next_hops:
                learned[prefix] = self._told[prefix] = next_hops
            elif not next_hops and self._told.pop(prefix, ()):
                withdrawn.append(prefix)
        messages: list[Learned | Withdrawn] = []
        if learned:
            messages.append(Learned(learned))
        if withdrawn:
            messages.append(Withdrawn(tuple(withdrawn)))
        return messages
