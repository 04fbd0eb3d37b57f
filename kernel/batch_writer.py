"""Batches of netlink requests, sent by a thread one right after the other: the kernel does not wait for the loop.

An edge. The kernel carries batches out within sendmsg(), without the interpreter's lock. Between two calls the thread
needs that lock only to take the next ones. While the loop computes it waits for it, half a millisecond in the agent, so
it takes all that wait by then. What the kernel answers is read by the loop, when it comes to that.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from kernel.message import Answer, take_failures
from kernel.netlink import CHUNK, NetlinkSocket

ANSWER_BYTES = 832
"""What the kernel counts for one failure that waits to be read, whatever its length."""
_TOGETHER = 1 << 18
"""How many bytes of batches go into one call: a few thousand routes, some 20 ms in the kernel."""


class _Batch:
    """One batch, from when it is handed over until its answers are read. error: the kernel took nothing of it."""

    def __init__(self, requests: bytes, last: int, answered: asyncio.Future[list[Answer]]) -> None:
        self.requests, self.last, self.answered = requests, last, answered
        self.failures: list[Answer] = []
        self.error: OSError | None = None


class BatchWriter:
    """A socket, in the network namespace its maker was in, and the thread that sends through it."""

    def __init__(self) -> None:
        """Raises OSError: netlink sockets are not to be had here."""
        self._netlink = NetlinkSocket()
        self.port = self._netlink.port
        self.room = self._netlink.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // ANSWER_BYTES
        """How many failures the kernel keeps until they are read; a user namespace may get less than it asks for."""
        # The kernel takes nothing of what is longer than this buffer.
        self._together = min(_TOGETHER, self._netlink.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2)
        self._waiting: deque[_Batch] = deque()
        self._taking = threading.Lock()  # batches out of those that wait
        self._to_do: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._unanswered: deque[_Batch] = deque()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Return when the batch under way is carried out; those behind it are left out."""
        self.give_up()
        if self._thread is not None:
            self._to_do.put(None)
            self._thread.join()
        self._netlink.close()

    def submit(self, requests: bytes, last: int) -> asyncio.Future[list[Answer]]:
        """Have a batch sent behind those before it; return its failures to come. The batch is as of `NetlinkSocket`.

        The future has an OSError where the kernel took nothing of the batch, and is cancelled when it is given up.
        """
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="netlink", daemon=True)
            self._thread.start()
        if not self._unanswered:
            loop.add_reader(self._netlink.socket.fileno(), self._read)
        batch = _Batch(requests, last, loop.create_future())
        self._unanswered.append(batch)
        self._waiting.append(batch)
        self._to_do.put(self._send_waiting)
        return batch.answered

    def give_up(self) -> None:
        """Leave out the batches that are not begun; return when those under way are carried out, in milliseconds."""
        self._stop()
        self._read()
        while self._unanswered:
            self._next().cancel()

    def _work(self) -> None:
        while (do := self._to_do.get()) is not None:
            do()

    def _send_waiting(self) -> None:
        """Send batches that wait, as many as one call may. It is called once for each, so there may be none left."""
        batches = self._take()
        if not batches:
            return
        try:
            self._netlink.socket.sendmsg([batch.requests for batch in batches])
        except OSError as failed:
            for batch in batches:
                batch.error = failed
            batches[0].answered.get_loop().call_soon_threadsafe(self._read)

    def _take(self) -> list[_Batch]:
        taken: list[_Batch] = []
        room = self._together
        with self._taking:
            while self._waiting and (not taken or len(self._waiting[0].requests) <= room):
                room -= len(self._waiting[0].requests)
                taken.append(self._waiting.popleft())
        return taken

    def _stop(self) -> None:
        """Take back what the thread has not begun, and return when it has nothing under way."""
        if self._unanswered:
            with self._taking:
                self._waiting.clear()
            idle = threading.Event()
            self._to_do.put(idle.set)
            idle.wait()

    def _read(self) -> None:
        """Take in what the kernel has answered so far."""
        while self._unanswered:
            try:
                datagram = self._netlink.socket.recv(CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                datagram = b""
            except OSError as failed:
                self._lost_answers(failed)
                return
            while self._unanswered and (error := self._unanswered[0].error) is not None:
                _fail(self._next(), error)  # the kernel answers none of it
            if not datagram:
                return
            batch = self._unanswered[0]
            if take_failures(datagram, batch.last, batch.failures):
                answered = self._next()
                if not answered.done():
                    answered.set_result(batch.failures)

    def _lost_answers(self, error: OSError) -> None:
        """End all that wait for answers: the socket had no room for some (ENOBUFS), and nobody knows for whose."""
        self._stop()
        with suppress(BlockingIOError):
            while self._netlink.socket.recv(CHUNK, socket.MSG_DONTWAIT):
                pass
        while self._unanswered:
            _fail(self._next(), error)

    def _next(self) -> asyncio.Future[list[Answer]]:
        """Return the future of the batch that has waited longest, which waits no more."""
        answered = self._unanswered.popleft().answered
        if not self._unanswered:
            answered.get_loop().remove_reader(self._netlink.socket.fileno())
        return answered


def _fail(answered: asyncio.Future[list[Answer]], error: OSError) -> None:
    if not answered.done():
        answered.set_exception(error)
        answered.exception()  # of several that fail together only one may be waited for
