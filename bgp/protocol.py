"""The protocol between agent, observers and sidecar: one JSON object per line, on a unix socket.

Sans-IO. The agent states its speaker and its announcements, and marks when they are complete; the sidecar replays what
it has learned, marks the end of that, and goes on with changes. An observer asks for the status and for paths.

Before anything else each end says which version of the protocol it speaks (bgp/protocol_version.py). The two lines
that takes, Hello and Problem, are the same in every version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from bgp.packed_prefixes import packed, unpacked
from bgp.path_report import PathReport
from bgp.protocol_version import UNSTATED, VERSION
from bgp.speaker import Attributes, LearnedPath, LearnedPaths, Speaker, announcements_from_json, announcements_to_json
from net.prefix import Prefix, pack, unpack

# Longest line read: a speaker with some thousand neighbours. Routes are cut into lines of PER_LINE prefixes.
LINE_LIMIT = 16 * 1024 * 1024
PER_LINE = 1000
SHOWN = 32  # bytes of a line that is refused: before what a session holds, a password among it

_json = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` makes one for each line

Role = Literal["agent", "observer", "leave", "sidecar"]


class Hello(Struct, frozen=True):
    """The first line of each end. An observer asks with GetStatus and Paths; `leave` ends the sidecar for good.

    The sidecar answers an agent and an observer with its own, or with a Problem and the end of the connection. Of two
    agents the one that `started` later is served, however often the other comes back; it is a time on the machine's
    monotonic clock, in nanoseconds.
    """

    role: Role
    started: int = 0
    version: int = VERSION


class Configure(Struct, frozen=True):
    speaker: Speaker


class Announce(Struct, frozen=True):
    routes: Mapping[Prefix, Attributes]


class Withdraw(Struct, frozen=True):
    prefixes: tuple[Prefix, ...]


class Complete(Struct, frozen=True):
    """Everything the agent wants announced was sent on this connection: what was not is withdrawn."""


class Learned(Struct, frozen=True):
    """Prefixes and their best paths, lowest next hop first. Replaces what was learned of them before."""

    routes: Mapping[Prefix, LearnedPaths]


class Withdrawn(Struct, frozen=True):
    prefixes: tuple[Prefix, ...]


class ReplayEnd(Struct, frozen=True):
    """All that was learned so far has been sent; what the agent holds beyond it may go only if `converged`."""

    converged: bool


class Converged(Struct, frozen=True):
    """Every configured session has sent its end-of-RIB, or its time is over. Sent once."""


class Problem(Struct, frozen=True):
    """Something the agent asked for could not be done; the sentence says what and why."""

    text: str


class GetStatus(Struct, frozen=True):
    """An observer asks for the sidecar's report."""


class StatusReply(Struct, frozen=True):
    report: dict[str, Any]


class Paths(Struct, frozen=True):
    """An observer asks for every path of every peer to one prefix."""

    prefix: Prefix


class PathsReply(Struct, frozen=True):
    prefix: Prefix
    paths: tuple[PathReport, ...]


SidecarMessage: TypeAlias = (
    Hello
    | Configure
    | Announce
    | Withdraw
    | Complete
    | Learned
    | Withdrawn
    | ReplayEnd
    | Converged
    | Problem
    | GetStatus
    | StatusReply
    | Paths
    | PathsReply
)


def encode(message: SidecarMessage) -> bytes:
    return _json(_to_json(message)).encode() + b"\n"


def decode(line: bytes) -> SidecarMessage:
    """Raises ValueError: the line is not one of ours."""
    try:
        return _from_json(json.loads(line.decode()))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a line of the sidecar's protocol: {line[:SHOWN]!r}: {error!r}") from error


def cut(routes: Mapping[Prefix, Any]) -> Iterator[dict[Prefix, Any]]:
    """Yield the routes in portions that fit a line each."""
    left = iter(routes.items())
    while portion := dict(islice(left, PER_LINE)):
        yield portion


def _to_json(message: SidecarMessage) -> dict[str, Any]:
    match message:
        case Hello(role, started, version):
            return {"hello": role, "started": started, "version": version}
        case Configure(speaker):
            return {"configure": speaker.to_json()}
        case Announce(routes):
            return {"announce": announcements_to_json(routes)}
        case Withdraw(prefixes):
            return {"withdraw": list(map(str, prefixes))}
        case Complete():
            return {"complete": True}
        case Learned(routes):
            return {"learned": _grouped(routes)}
        case Withdrawn(prefixes):
            return {"withdrawn": packed(prefixes)}
        case ReplayEnd(converged):
            return {"replay_end": converged}
        case Converged():
            return {"converged": True}
        case Problem(text):
            return {"problem": text}
        case GetStatus():
            return {"get_status": True}
        case StatusReply(report):
            return {"status": report}
        case Paths(prefix):
            return {"paths": str(prefix)}
        case PathsReply(prefix, paths):
            return {"paths_reply": str(prefix), "paths_found": [path.to_json() for path in paths]}


def _from_json(record: dict[str, Any]) -> SidecarMessage:
    match record:
        case {"hello": ("agent" | "observer" | "leave" | "sidecar") as role, **more}:
            return Hello(role, int(more.get("started", 0)), int(more.get("version", UNSTATED)))
        case {"configure": speaker}:
            return Configure(Speaker.from_json(speaker))
        case {"announce": groups}:
            return Announce(announcements_from_json(groups))
        case {"withdraw": prefixes}:
            return Withdraw(tuple(map(Prefix.parse, prefixes)))
        case {"complete": True}:
            return Complete()
        case {"learned": groups}:
            return Learned(_learned(groups))
        case {"withdrawn": groups}:
            return Withdrawn(tuple(unpacked(groups)))
        case {"replay_end": bool(converged)}:
            return ReplayEnd(converged)
        case {"converged": True}:
            return Converged()
        case {"problem": str(text)}:
            return Problem(text)
        case {"get_status": True}:
            return GetStatus()
        case {"status": dict(report)}:
            return StatusReply(report)
        case {"paths": str(prefix)}:
            return Paths(Prefix.parse(prefix))
        case {"paths_reply": str(prefix), "paths_found": list(paths)}:
            return PathsReply(Prefix.parse(prefix), tuple(map(PathReport.from_json, paths)))
    raise ValueError("unknown message")


def _grouped(routes: Mapping[Prefix, LearnedPaths]) -> list[list[Any]]:
    """Return `[[[next hop, peer], …], packed prefixes]` per set of paths: most prefixes of a peer share theirs."""
    groups: dict[LearnedPaths, list[Prefix]] = {}
    for prefix, paths in routes.items():
        groups.setdefault(paths, []).append(prefix)
    return [
        [[[unpack(path.next_hop), path.peer] for path in paths], packed(prefixes)] for paths, prefixes in groups.items()
    ]


def _learned(groups: list[list[Any]]) -> dict[Prefix, LearnedPaths]:
    routes: dict[Prefix, LearnedPaths] = {}
    for pairs, prefixes in groups:
        paths = tuple(LearnedPath(pack(next_hop), str(peer)) for next_hop, peer in pairs)
        routes.update(dict.fromkeys(unpacked(prefixes), paths))
    return routes
