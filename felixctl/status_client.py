"""Read this node's agent over its status socket, and return its pages as values.

No root is needed, only access to the socket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from felix_py.status.status_json import from_json
from felix_py.status_model import AgentStatus, RoutesPage, RouteStatus
from felixctl.errors import CommandError
from felixctl.host_settings import STATUS_SOCKET
from net.prefix import Prefix

T = TypeVar("T")

ANSWER_SECONDS = 5.0


def read_status(run_dir: Path) -> AgentStatus:
    """Return the agent's status. Raises CommandError: no agent, or a malformed answer."""
    return read_page(run_dir, "/status", AgentStatus)


def read_routes(run_dir: Path, prefix: Prefix | None = None) -> tuple[RouteStatus, ...]:
    """Return the routes the agent wants, of a prefix those that hold it or lie in it. Raises CommandError."""
    return read_page(run_dir, routes_page(prefix), RoutesPage).routes


def routes_page(within: Prefix | None) -> str:
    """Return the page of an agent's routes, or of those that hold a prefix or lie in it."""
    return "/routes" + (f"?prefix={within}" if within else "")


def read_page(run_dir: Path, page: str, value_type: type[T]) -> T:
    """Return a page of the agent as a value. Raises CommandError: no agent, or a malformed answer."""
    return value_of(value_type, f"{page} of the agent at {run_dir / STATUS_SOCKET}", read_object(run_dir, page))


def value_of(value_type: type[T], what: str, record: Mapping[str, Any]) -> T:
    """Return what an agent sent as a value. Raises CommandError: it is none, as of an agent of another version."""
    try:
        return from_json(value_type, record)
    except ValueError as error:
        raise CommandError(f"read {what}: {error}") from None


def read_object(run_dir: Path, page: str) -> Mapping[str, Any]:
    """Return a page of the agent as the JSON object it sent. Raises CommandError: no agent, or no such object."""
    return page_object(f"read the agent's status at {run_dir / STATUS_SOCKET}", get_page(run_dir, page))


def page_object(what: str, body: str | bytes) -> Mapping[str, Any]:
    """Return a page as the JSON object it is. Raises CommandError: it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CommandError(f"{what}: what it sent is not a JSON object")
    return found


def get_page(run_dir: Path, page: str) -> str:
    """Return a page of the agent as it sent it. Raises CommandError: no agent, or another answer than the page."""
    path = run_dir / STATUS_SOCKET
    try:
        answer = _get(path, page)
    except OSError as error:
        raise CommandError(f"read the agent's status at {path}: {_reason(error)}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        said = " ".join(body.decode(errors="replace").split())
        raise CommandError(f"read the agent's status at {path}: it answered {_first_line(head)}{said and f': {said}'}")
    return body.decode(errors="replace")


def _reason(error: OSError) -> str:
    """Return why the socket gave no answer, and what to do."""
    match error:
        case FileNotFoundError():
            return (
                "there is no such socket, so no agent runs here;"
                " start it (python -m felix_py), name its folder by --run-dir, or, on Kubernetes, its node by --node"
            )
        case ConnectionRefusedError():
            return "no process listens, so the agent has ended; start it again"
        case PermissionError():
            return "this user may not connect to it"
        case TimeoutError():
            return f"no answer in {ANSWER_SECONDS:.0f} s; see the agent's log"
        case _:
            return error.strerror or str(error)


def _get(path: Path, page: str) -> bytes:
    """Return the whole HTTP answer; version 1.0, so that the connection's end is the answer's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(f"GET {page} HTTP/1.0\r\nHost: felix\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def _first_line(head: bytes) -> str:
    return repr(head.partition(b"\r\n")[0].decode("latin-1"))
