"""What we announce: what is wanted, what ExaBGP has been told, and the batches between.

Pure: no I/O, no clock, no logging. ExaBGP may send two changes of one prefix in the wrong order if both are in its
hands at once, so a batch names each prefix once, and the next is made only when the last was answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from bgp.speaker import Attributes
from net.prefix import Prefix


@dataclass(frozen=True, slots=True)
class Batch:
    """One step from sent to wanted. `withdraw` has the attributes that were announced."""

    announce: Mapping[Prefix, Attributes] = field(default_factory=dict)
    withdraw: Mapping[Prefix, Attributes] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.announce or self.withdraw)


class RibOut:
    """The routes we announce to every peer. `complete` once an agent has stated all of them."""

    def __init__(self) -> None:
        self.complete = False
        self.sent: dict[Prefix, Attributes] = {}
        self._wanted: dict[Prefix, Attributes] = {}
        self._pending: dict[Prefix, None] = {}  # in order of their first change
        self._behind: set[str] = set()

    def __len__(self) -> int:
        return len(self._wanted)

    @property
    def pending(self) -> int:
        return len(self._pending)

    def put(self, routes: Mapping[Prefix, Attributes]) -> None:
        self._wanted.update(routes)
        self._pending.update(dict.fromkeys(routes))

    def remove(self, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            if self._wanted.pop(prefix, None) is not None:
                self._pending[prefix] = None

    def replace(self, routes: Mapping[Prefix, Attributes]) -> None:
        """State everything: what is not in `routes` is no longer wanted."""
        self.remove(self._wanted.keys() - routes.keys())
        self.put({prefix: a for prefix, a in routes.items() if self._wanted.get(prefix) != a})
        self.complete = True

    def next_batch(self, limit: int) -> Batch:
        """Return the difference for at most `limit` of the changed prefixes, the longest waiting first."""
        prefixes = list(islice(self._pending, limit))
        for prefix in prefixes:
            del self._pending[prefix]
        return Batch(
            {p: self._wanted[p] for p in prefixes if p in self._wanted and self._wanted[p] != self.sent.get(p)},
            {p: self.sent[p] for p in prefixes if p not in self._wanted and p in self.sent},
        )

    def answered(self, batch: Batch) -> None:
        """ExaBGP has taken a batch in: it sends it to whoever is, or comes, up."""
        self.sent.update(batch.announce)
        for prefix in batch.withdraw:
            self.sent.pop(prefix, None)

    def forget_sent(self) -> None:
        """A new ExaBGP process knows nothing.

        Who is behind stays so: it may have been started from a file without that neighbour, whose reload is under way.
        """
        self.sent.clear()
        self._pending = dict.fromkeys(self._wanted)

    def need_full_table(self, peers: Iterable[str]) -> None:
        """Neighbours that a reload added, or made anew, have none of what was announced before."""
        self._behind.update(peers)

    def full_table(self, peer: str) -> dict[Prefix, Attributes]:
        """Return what one neighbour has to be told apart from the others; it is not behind after that."""
        if peer not in self._behind:
            return {}
        self._behind.discard(peer)
        return dict(self.sent)
