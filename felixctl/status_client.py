"""What this node's agent says of itself: read from its status socket, as values.

No root is needed: whoever may connect to the socket may read. The agent answers from memory, so asking costs it
nothing.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from felixctl.errors import CommandError
from felixctl.options import STATUS_SOCKET

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One BGP session as the sidecar sees it."""

    address: str
    kind: str
    """mesh, node or global."""
    state: str
    since: float | None
    """Seconds of the epoch at which it came into this state."""
    info: str
    learned: int
    announced: int
    refused: int
    """Routes heard from it and not taken."""
    stale: int
    """Routes of before it went away, kept until it is back or its time is over."""

    @property
    def is_up(self) -> bool:
        return self.state == "up"


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route that some source wants, and what became of it."""

    prefix: str
    source: str
    way: str
    """Where it leads, in the words of `ip route`, without the prefix."""
    in_fib: bool
    note: str


def read_status(run_dir: Path) -> Mapping[str, Any]:
    """Return the agent's status as it sent it. Raises CommandError: no agent, or no sense in its answer."""
    return read_page(run_dir, "/status")


def read_page(run_dir: Path, page: str) -> Mapping[str, Any]:
    """Return a page of the agent, a JSON object. Raises CommandError: no agent, or no sense in its answer."""
    try:
        said = json.loads(get_page(run_dir, page))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise CommandError(f"read the agent's status at {run_dir / STATUS_SOCKET}: what it sent is not a JSON object")
    return said


def get_page(run_dir: Path, page: str) -> str:
    """Return a page of the agent as it sent it. Raises CommandError: no agent, or another answer than the page."""
    path = run_dir / STATUS_SOCKET
    try:
        answer = _get(path, page)
    except FileNotFoundError:
        raise CommandError(
            f"read the agent's status at {path}: there is no such socket, so no agent runs here;"
            " start it (python -m felix_py), or name its folder by --run-dir"
        ) from None
    except ConnectionRefusedError:
        raise CommandError(
            f"read the agent's status at {path}: nobody answers, so the agent has ended; start it again"
        ) from None
    except PermissionError:
        raise CommandError(f"read the agent's status at {path}: this user may not connect to it") from None
    except TimeoutError:
        raise CommandError(
            f"read the agent's status at {path}: no answer in {ANSWER_SECONDS:.0f} s; see the agent's log"
        ) from None
    except OSError as error:
        raise CommandError(f"read the agent's status at {path}: {error.strerror or error}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
        raise CommandError(f"read the agent's status at {path}: it answered {_first_line(head)}")
    return body.decode(errors="replace")


def _get(path: Path, page: str) -> bytes:
    """Return the whole HTTP answer; version 1.0, so that the connection's end is the answer's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(f"GET {page} HTTP/1.0\r\nHost: felix\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def _first_line(head: bytes) -> str:
    return repr(head.partition(b"\r\n")[0].decode("latin-1"))


def peers_of(status: Mapping[str, Any]) -> list[Peer]:
    """Return the sessions in the order of their addresses as text, as Calico lists them."""
    return sorted(map(_peer, status.get("peers") or ()), key=lambda peer: peer.address)


def _peer(entry: Mapping[str, Any]) -> Peer:
    refused = entry.get("refused") or 0
    return Peer(
        address=str(entry["address"]),
        kind=str(entry.get("kind", "")),
        state=str(entry.get("state", "")),
        since=entry.get("since"),
        info=str(entry.get("info") or entry.get("last_error") or ""),
        learned=int(entry.get("learned") or 0),
        announced=int(entry.get("announced") or 0),
        refused=sum(refused.values()) if isinstance(refused, dict) else int(refused),
        stale=int(entry.get("stale") or 0),
    )


def routes_of(status: Mapping[str, Any]) -> list[RouteRow]:
    """Return what each source wants, as the agent ordered it."""
    return [_route(entry) for entry in status.get("routes") or ()]


def _route(entry: Mapping[str, Any]) -> RouteRow:
    prefix = str(entry["prefix"])
    return RouteRow(
        prefix=prefix,
        source=str(entry.get("source", "")),
        way=_without_prefix(str(entry.get("via") or ""), prefix),
        in_fib=bool(entry.get("in_fib")),
        note=str(entry.get("note") or ""),
    )


def _without_prefix(words: str, prefix: str) -> str:
    """Return a route in `ip`'s words without its destination, which a host route shows without its length."""
    named = (prefix, prefix.partition("/")[0], "default")
    kind, _, rest = words.partition(" ")
    if kind in named:
        return rest
    destination, _, way = rest.partition(" ")
    return f"{kind} {way}" if destination in named else words
