"""A way to nftables: transactions, and events of what others change. Edge, which decides nothing."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress

from kernel.message import DONE, ERROR, Message, answer, explain, messages
from kernel.netlink import KernelError, NetlinkSocket
from kernel.nftables_codec import NETLINK_NETFILTER
from kernel.nftables_table import INET, Request, transaction

ABSENT = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
"""What the kernel answers that has no nftables."""

_EVENTS = 1 << 7 - 1  # NFNLGRP_NFTABLES, as a bit of the address that a socket is bound to
_RECEIVED_BYTES = 1 << 16
_DATAGRAMS_PER_TURN = 256


class NftablesConnection:
    """nftables of this network namespace. Events are kept from the moment that it exists."""

    def __init__(self, concerns: Callable[[Message], bool]) -> None:
        """concerns: whether an event is one to hear of. Raises KernelError: nftables is not to be had here."""
        self._concerns = concerns
        try:
            self.requests = NetlinkSocket(NETLINK_NETFILTER)
            try:
                self._events = NetlinkSocket(NETLINK_NETFILTER, groups=_EVENTS)
            except OSError:
                self.requests.close()
                raise
        except OSError as error:
            raise KernelError(f"open nftables: {explain(error.errno or 0)}", error.errno or 0) from None
        self._events.socket.setblocking(False)

    def close(self) -> None:
        for netlink in (self.requests, self._events):
            netlink.close()

    async def changed(self) -> AsyncGenerator[None]:
        """Yield after changes by others, or where events of them may be lost. Read it from one task only."""
        loop, readable, descriptor = asyncio.get_running_loop(), asyncio.Event(), self._events.socket.fileno()
        loop.add_reader(descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                if self.was_changed():
                    yield
        finally:
            loop.remove_reader(descriptor)

    def was_changed(self) -> bool:
        """Return whether others may have changed something since this was last asked."""
        found, own = False, self.requests.port
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
            found = found or any(one.port != own and self._concerns(one) for one in messages(datagram))
        return found

    def commit(self, requests: Sequence[Request], tried: str, family: int = INET) -> None:
        """Carry out one transaction. Raises KernelError with the first refusal: nothing has changed then."""
        if not requests:
            return
        netlink = self.requests
        first = netlink.sequences(len(requests) + 2)
        netlink.socket.send(transaction(requests, first, family))
        refused, last = None, first + len(requests)
        with suppress(BlockingIOError):  # the kernel did its work in send(): every answer is there
            while True:
                for reply in messages(netlink.socket.recv(_RECEIVED_BYTES, socket.MSG_DONTWAIT)):
                    result = answer(reply) if reply.kind in (ERROR, DONE) and first <= reply.sequence <= last else None
                    if result is not None and result.errno and refused is None:
                        refused = result
        if refused is not None:
            raise KernelError(f"{tried}: {explain(refused.errno, refused.text)}", refused.errno)
