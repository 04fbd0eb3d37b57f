"""What one agent has been sent of the learned routes, and what is next.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from bgp.protocol import PER_LINE, Learned, Withdrawn
from bgp.rib_in import RibIn
from bgp.speaker import LearnedPaths
from net.prefix import Prefix


class AgentFeed:
    """What one agent was sent against what RIB-in holds now. Initially every prefix is pending.

    What was withdrawn before this agent connected is sent too: an earlier one may have written it to the kernel.
    """

    def __init__(self, rib_in: RibIn) -> None:
        self._rib_in = rib_in
        self._sent: dict[Prefix, LearnedPaths] = {}
        self._pending: dict[Prefix, None] = dict.fromkeys(rib_in.prefixes())
        self._gone = set(rib_in.withdrawn)  # and this agent was not sent
        self.mark(self._gone)

    def mark(self, prefixes: Iterable[Prefix]) -> None:
        self._pending.update(dict.fromkeys(prefixes))

    def next_messages(self) -> list[Learned | Withdrawn] | None:
        """Return the changes of the next PER_LINE pending prefixes, or None when none is pending."""
        if not self._pending:
            return None
        learned: dict[Prefix, LearnedPaths] = {}
        withdrawn = []
        for prefix in list(islice(self._pending, PER_LINE)):
            del self._pending[prefix]
            paths = self._rib_in.learned_paths(prefix)
            gone = prefix in self._gone
            self._gone.discard(prefix)
            if paths and self._sent.get(prefix) != paths:
                learned[prefix] = self._sent[prefix] = paths
            elif not paths and (self._sent.pop(prefix, ()) or gone):
                withdrawn.append(prefix)
        messages: list[Learned | Withdrawn] = []
        if learned:
            messages.append(Learned(learned))
        if withdrawn:
            messages.append(Withdrawn(tuple(withdrawn)))
        return messages
