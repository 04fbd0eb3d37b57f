"""One table of nftables, kept as its owner wants it: read, written in one transaction, watched by events.

Edge: it decides nothing, and never names a table but its own.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from contextlib import aclosing

from kernel import nftables_codec as codec
from kernel.message import Message
from kernel.netlink import KernelError
from kernel.nftables_connection import NftablesConnection
from kernel.nftables_table import (
    GET_CHAIN,
    GET_ELEMENTS,
    GET_RULE,
    GET_SET,
    GET_TABLE,
    INET,
    HeldRule,
    HeldSet,
    HeldTable,
    OwnTable,
    as_held,
    changes,
    held_flags,
    held_rule,
    held_set,
    table_of,
)


class NftablesWriter:
    """The table `name` of family inet in this network namespace. Events are kept from the moment that it exists."""

    def __init__(self, name: str) -> None:
        """Raises KernelError: nftables is not to be had here."""
        self.name = name
        self._connection = NftablesConnection(self._concerns)
        self._requests = self._connection.requests
        self._held: HeldTable | None = None
        self._knows = False  # what the kernel holds

    def close(self) -> None:
        self._connection.close()

    def bring_in_line(self, wanted: OwnTable | None) -> bool:
        """Make the table as wanted, None = none; return whether something was to be done. Raises KernelError.

        It is read at first, and after a change by others: thousands of elements take their time.
        """
        if self._connection.was_changed():
            self._knows = False
        if not self._knows:
            self._held, self._knows = self._read(), True
        requests = changes(self.name, wanted, self._held)
        if requests:
            self._knows = False
            self._connection.commit(requests, f"write table inet {self.name} of nftables")
            self._held, self._knows = as_held(self.name, wanted), True
        return bool(requests)

    async def changed(self) -> AsyncGenerator[None]:
        """Yield after each change of the table by others, or where events of it may be lost.

        Read it from one task only.
        """
        async with aclosing(self._connection.changed()) as events:
            async for _ in events:
                self._knows = False
                yield

    def _concerns(self, event: Message) -> bool:
        return table_of(event.body) == self.name

    def _read(self) -> HeldTable | None:
        """Return what the kernel holds; None if the table is not there. Raises KernelError."""
        try:
            found = self._requests.request(
                GET_TABLE, 0, codec.request(INET, table=self.name), f"read table inet {self.name} of nftables"
            )
        except KernelError as refused:
            if refused.errno == errno.ENOENT:
                return None
            raise
        chains = {head.name: head for head in self._chains()}
        return HeldTable(held_flags(found[0].body), chains, self._rules(), self._sets())

    def _chains(self) -> list[codec.ChainHead]:
        dumped = self._requests.dump(GET_CHAIN, codec.request(INET), f"read the chains of table inet {self.name}")
        heads = (codec.decode_chain(item.body) for item in dumped)
        return [head for head in heads if head is not None and (head.family, head.table) == (INET, self.name)]

    def _rules(self) -> dict[str, list[HeldRule]]:
        found: dict[str, list[HeldRule]] = {}
        body = codec.request(INET, table=self.name)
        for item in self._requests.dump(GET_RULE, body, f"read the rules of table inet {self.name}"):
            table, chain, rule = held_rule(item.body)
            if table == self.name:
                found.setdefault(chain, []).append(rule)
        return found

    def _sets(self) -> dict[str, HeldSet]:
        found = {}
        body = codec.request(INET, table=self.name)
        for item in self._requests.dump(GET_SET, body, f"read the sets of table inet {self.name}"):
            table, name, _ = held_set(item.body)
            if table == self.name:
                elements = codec.request(INET, table=self.name, set_name=name)
                dumped = self._requests.dump(GET_ELEMENTS, elements, f"read set {name} of table inet {self.name}")
                found[name] = held_set(item.body, codec.decode_elements(one.body for one in dumped))[2]
        return found
