"""An agent of which only the status socket is there."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def agent(run_dir: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Answer a request each on the status socket, as the agent would; yield a list that gets the requests."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(run_dir / "status.sock"))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = listener.accept()
                except OSError:  # nobody asks any more
                    return
                with connection:
                    requests.append(connection.recv(1 << 16))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield requests
        finally:
            # Whoever still accepts when the socket is closed may do so on another test's, which has its number by then.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def answered(status: object, line: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{line}\r\nContent-Type: application/json\r\n\r\n{json.dumps(status)}".encode()
