"""Blocks as this process last wrote or read them, and what is often asked of them.

Pure. A hint: other processes write blocks too, which a write that compares revisions finds out.
"""

from __future__ import annotations

from msgspec import Struct

from datastore.fields import Address, Network
from datastore.kinds.ipam import IPAMBlock
from ipam import block as blocks
from ipam.names import host_affinity
from ipam.reserved import Reserved


class _Known(Struct, frozen=True):
    block: IPAMBlock
    seen_ns: int


class KnownBlocks:
    """The blocks that a process has written or read, but for those that may have changed since without its hearing."""

    def __init__(self) -> None:
        self._known: dict[Network, _Known] = {}
        self._holders: dict[Network, frozenset[str]] = {}
        """The handles that it holds something for, of each block that was asked about since it was last put here."""
        self._cooling: set[Network] = set()
        """Those whose addresses cooled down when they were last known."""

    def get(self, cidr: Network) -> IPAMBlock | None:
        known = self._known.get(cidr)
        return known.block if known else None

    def put(self, block: IPAMBlock, now_ns: int) -> None:
        cidr = block.network
        self._known[cidr] = _Known(block, now_ns)
        self._holders.pop(cidr, None)
        (self._cooling.add if blocks.cools_down(block) else self._cooling.discard)(cidr)

    def pop(self, cidr: Network) -> IPAMBlock | None:
        """Forget a block, and return it."""
        known = self._known.pop(cidr, None)
        self._holders.pop(cidr, None)
        return known.block if known else None

    def seen_ns(self, cidr: Network, host: str) -> int:
        """Return when the block was last known to be this host's; 0: it is not known as such."""
        known = self._known.get(cidr)
        return known.seen_ns if known and known.block.spec.affinity == host_affinity(host) else 0

    def free(self, cidr: Network, host: str, reserved: Reserved) -> int | None:
        """Return how many addresses the block has for a host; None: it is not known."""
        known = self._known.get(cidr)
        if known is None:
            return None
        block = known.block
        if block.spec.affinity != host_affinity(host):
            return 0
        free = blocks.free_count(block, reserved.ordinals(cidr)) if block.spec.unallocated else 0
        return None if not free and cidr in self._cooling else free

    def held(self, handle: str) -> dict[Address, Network]:
        """Return what the blocks hold for a handle, each address with its block."""
        holding = [known.block for cidr, known in self._known.items() if handle in self._holders_of(cidr)]
        return {
            blocks.address_of(block, ordinal): block.network
            for block in holding
            for ordinal in blocks.held_by(block, handle)
        }

    def _holders_of(self, cidr: Network) -> frozenset[str]:
        found = self._holders.get(cidr)
        if found is None:
            found = self._holders[cidr] = blocks.holders(self._known[cidr].block)
        return found
