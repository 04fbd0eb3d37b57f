"""One table of nftables, kept as its owner wants it: read, written in one transaction, watched by events.

Edge: it decides nothing, and never names a table but its own.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from kernel import nftables_codec as codec
from kernel.message import DONE, ERROR, answer, explain, messages
from kernel.netlink import KernelError, NetlinkSocket
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
    Request,
    as_held,
    changes,
    held_flags,
    held_rule,
    held_set,
    table_of,
    transaction,
)

_EVENTS = 1 << 7 - 1  # NFNLGRP_NFTABLES, as a bit of the address that a socket is bound to
_RECEIVED_BYTES = 1 << 16
_DATAGRAMS_PER_TURN = 256
ABSENT = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
"""What the kernel answers that has no nftables."""


class NftablesWriter:
    """The table `name` of family inet in this network namespace. Events are kept from the moment that it exists."""

    def __init__(self, name: str) -> None:
        """Raises KernelError: nftables is not to be had here."""
        self.name = name
        try:
            self._requests = NetlinkSocket(codec.NETLINK_NETFILTER)
            try:
                self._events = NetlinkSocket(codec.NETLINK_NETFILTER, groups=_EVENTS)
            except OSError:
                self._requests.close()
                raise
        except OSError as error:
            raise KernelError(f"open nftables: {explain(error.errno or 0)}", error.errno or 0) from None
        self._events.socket.setblocking(False)
        self._held: HeldTable | None = None
        self._knows = False  # what the kernel holds

    def close(self) -> None:
        for netlink in (self._requests, self._events):
            netlink.close()

    def bring_in_line(self, wanted: OwnTable | None) -> bool:
        """Make the table as wanted, None = none; return whether something was to be done. Raises KernelError.

        It is read at first, and after a change by others: thousands of elements take their time.
        """
        self._was_changed()
        if not self._knows:
            self._held, self._knows = self._read(), True
        requests = changes(self.name, wanted, self._held)
        if requests:
            self._knows = False
            self._commit(requests)
            self._held, self._knows = as_held(self.name, wanted), True
        return bool(requests)

    async def changed(self) -> AsyncGenerator[None]:
        """Yield after each change of the table by others, or where events of it may be lost.

        Read it from one task only.
        """
        loop, readable, descriptor = asyncio.get_running_loop(), asyncio.Event(), self._events.socket.fileno()
        loop.add_reader(descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                if self._was_changed():
                    yield
        finally:
            loop.remove_reader(descriptor)

    def _was_changed(self) -> bool:
        """Return whether others may have changed the table since this was last asked."""
        found, own = False, self._requests.port
        for _ in range(_DATAGRAMS_PER_TURN):  # the rest makes the socket readable again at once
            try:
                datagram = self._events.socket.recv(_RECEIVED_BYTES)
            except BlockingIOError:
                break
            except OSError as failed:
                if failed.errno != errno.ENOBUFS:
                    raise
                found = True
                continue
            found = found or any(one.port != own and table_of(one.body) == self.name for one in messages(datagram))
        self._knows = self._knows and not found
        return found

    def _commit(self, requests: Sequence[Request]) -> None:
        """Carry out one transaction. Raises KernelError with the first refusal: nothing has changed then."""
        if not requests:
            return
        netlink = self._requests
        first = netlink.sequences(len(requests) + 2)
        netlink.socket.send(transaction(requests, first))
        refused, last = None, first + len(requests)
        with suppress(BlockingIOError):  # the kernel did its work in send(): every answer is there
            while True:
                for reply in messages(netlink.socket.recv(_RECEIVED_BYTES, socket.MSG_DONTWAIT)):
                    result = answer(reply) if reply.kind in (ERROR, DONE) and first <= reply.sequence <= last else None
                    if result is not None and result.errno and refused is None:
                        refused = result
        if refused is not None:
            raise KernelError(
                f"write table inet {self.name} of nftables: {explain(refused.errno, refused.text)}", refused.errno
            )

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
