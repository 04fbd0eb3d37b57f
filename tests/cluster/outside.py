"""A server beyond the nodes' gateway that tells each caller under which address it was heard."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kernel.netns import inside
from tests.runtimes.machine import NetworkNamespace


@contextmanager
def telling_callers(namespace: NetworkNamespace) -> Iterator[int]:
    """Yield the TCP port, of every address of the namespace, at which a caller reads its own address."""
    descriptor = os.open(f"/proc/{namespace.pid}/ns/net", os.O_RDONLY)
    try:
        with inside(descriptor):
            listening = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    finally:
        os.close(descriptor)
    thread = threading.Thread(target=_serve, args=(listening,))
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


def _serve(listening: socket.socket) -> None:
    with suppress(OSError):  # it has been shut down
        while True:
            connection, (address, *_) = listening.accept()
            with connection:
                connection.sendall(f"{address.removeprefix('::ffff:')}\n".encode())
