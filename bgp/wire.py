"""ExaBGP's lines: bytes in, events out; announcements in, command lines out.

Sans-IO: the pipes are bgp/exabgp.py's. ExaBGP decides nothing and checks little, so that every event is what
the peer said; what we make of it is the import policy's and RIB-in's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bgp.speaker import Attributes, Family
from kernel.prefix import Prefix


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A TCP connection to or from this peer stands; BGP has not begun, and may never."""

    peer: str


@dataclass(frozen=True, slots=True)
class PeerUp:
    peer: str


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The session, or an attempt at it, is over. No withdrawals follow: its routes are ours to keep or not."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The graceful-restart capability of an OPEN (RFC 4724 §3).

    `restarting` is the Restart State bit; `families` says of each whether its forwarding state was kept.
    """

    seconds: int
    restarting: bool
    families: tuple[tuple[Family, bool], ...]


@dataclass(frozen=True, slots=True)
class PeerOpen:
    """The peer's OPEN. It comes before the `PeerUp` of the same session.

    `add_path` lists the families in which the peer is willing to send several paths.
    """

    peer: str
    router_id: bytes
    asn: int
    hold_time: int
    families: tuple[Family, ...]
    add_path: tuple[Family, ...] = ()
    restart: Restart | None = None


class Announced(NamedTuple):
    """One prefix of an UPDATE; `path_id` is 0 without add-path. The attributes hold the next hop."""

    prefix: Prefix
    path_id: int
    attributes: Attributes


class Withdrawn(NamedTuple):
    prefix: Prefix
    path_id: int


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE. Withdrawals count first: a message may hold both (RFC 4271 §3.1).

    `error` says that ExaBGP found the attributes malformed and made the announcements withdrawals (RFC 7606).
    """

    peer: str
    announced: tuple[Announced, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EndOfRib:
    peer: str
    family: Family


@dataclass(frozen=True, slots=True)
class Refresh:
    """The peer asks for our routes again (`query`), or marks `begin` and `end` of its own (RFC 7313)."""

    peer: str
    family: Family
    subtype: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """An ExaBGP process runs, the first or a later one: no session yet, and none of our announcements."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """ExaBGP ended: every session is gone, without a `PeerDown` each. `final`: not started again before the
    configuration changes, `reason` is a sentence that says why."""

    reason: str
    final: bool = False


Event: TypeAlias = (
    PeerConnected | PeerUp | PeerDown | PeerOpen | Update | EndOfRib | Refresh | Restarted | Stopped
)


def announce(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that announce each route, to the peers named or to all of its family, grouped by attributes."""
    raise NotImplementedError


def withdraw(routes: Mapping[Prefix, Attributes], to: Sequence[str] = ()) -> list[str]:
    """Return the lines that withdraw what was announced with these attributes."""
    raise NotImplementedError


def end_of_rib(peer: str, families: Iterable[Family]) -> list[str]:
    """Return the lines that tell one peer, in these families, that it has all our routes."""
    raise NotImplementedError
