"""The door by which this host reaches the API server of a cluster."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from tests.cluster.control_plane import Door
from tests.cluster.outside import telling_callers
from tests.runtimes.machine import NetworkNamespace, eventually


def test_a_connection_that_breaks_does_not_close_the_door(tmp_path: Path) -> None:
    with ExitStack() as ends:
        namespace = NetworkNamespace()
        ends.callback(namespace.end)
        port = ends.enter_context(telling_callers(namespace))
        door = ends.enter_context(closing(Door(namespace, f"127.0.0.1:{port}", tmp_path / "log")))

        def answers() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
                return connection.recv(64) == b"127.0.0.1\n"
            return False

        eventually("the door is open", answers)
        os.kill(door.pid, signal.SIGPIPE)
        assert answers()
