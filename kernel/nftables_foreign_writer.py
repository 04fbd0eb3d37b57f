"""Rules of ours in chains of another program, kept as they are wanted: read, written, watched by events.

Edge: what is to be written is decided by nftables_foreign_chain.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Sequence

from kernel import nftables_codec as codec
from kernel.message import Message
from kernel.netlink import KernelError
from kernel.nftables_connection import NftablesConnection
from kernel.nftables_foreign_chain import ForeignChain, MarkedRule, changes, is_about, marked_rules
from kernel.nftables_table import GET_CHAIN, GET_RULE, Program

_NO_CHAIN = (errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)  # or the kernel has no tables of this family


class ForeignChainWriter:
    """Our rules in these chains of this network namespace. Events are kept from the moment that it exists."""

    def __init__(self, chains: Sequence[ForeignChain], *, repair: bool = True) -> None:
        """repair: put right what others did to our rules. Without it they are written when they become due, that is
        when they are stated or when the chain begins to drop, and taken away when it no longer does.

        Raises KernelError: nftables is not to be had here.
        """
        self._chains, self._repair = chains, repair
        self._answered: dict[ForeignChain, tuple[Sequence[Program] | None, bool]] = {}
        """What was wanted in each chain when it was last brought in line, and whether the chain dropped."""
        self._connection = NftablesConnection(self._concerns)

    def close(self) -> None:
        self._connection.close()

    def bring_in_line(self, wanted: Sequence[Program] | None) -> bool:
        """Make our rules as wanted, None = none; return whether something was to be done. Raises KernelError."""
        self._connection.was_changed()  # what happened until now is seen below
        changed = False
        for chain in self._chains:
            head = self._head(chain)
            if head is None:
                self._answered.pop(chain, None)
                continue
            asked = wanted, head.drops
            if not self._repair and self._answered.get(chain) == asked:
                continue
            if requests := changes(chain, wanted or (), head, self._marked(chain)):
                self._connection.commit(requests, f"write rules into {_title(chain)}", chain.family)
                changed = True
            self._answered[chain] = asked
        return changed

    def changed(self) -> AsyncGenerator[None]:
        """Yield after changes of these chains by others. Read it from one task only."""
        return self._connection.changed()

    def _concerns(self, event: Message) -> bool:
        return is_about(event, self._chains)

    def _head(self, chain: ForeignChain) -> codec.ChainHead | None:
        body = codec.request(chain.family, table=chain.table, chain_name=chain.name)
        try:
            (found,) = self._connection.requests.request(GET_CHAIN, 0, body, f"read {_title(chain)}")
        except KernelError as refused:
            if refused.errno in _NO_CHAIN:
                return None
            raise
        return codec.decode_chain(found.body)

    def _marked(self, chain: ForeignChain) -> list[MarkedRule]:
        body = codec.request(chain.family, table=chain.table, chain=chain.name)
        dumped = self._connection.requests.dump(GET_RULE, body, f"read the rules of {_title(chain)}")
        return marked_rules(item.body for item in dumped)


def _title(chain: ForeignChain) -> str:
    return f"chain {chain.name} of table {codec.family_name(chain.family)} {chain.table} of nftables"
