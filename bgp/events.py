"""What ExaBGP reports about peers and about itself, as values.

Pure. Whatever decodes ExaBGP's output makes these; RIB-in and the sidecar fold them. ExaBGP decides nothing and checks
little, so each event is what the peer sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bgp.speaker import Attributes
from net.family import Family
from net.prefix import Prefix


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A TCP connection to or from this peer is established; BGP has not begun, and may never."""

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
class GracefulRestart:
    """The graceful-restart capability of an OPEN (RFC 4724 §3).

    `restarting` is the Restart State bit; `families` says of each whether its forwarding state was preserved.
    """

    seconds: int
    restarting: bool
    families: tuple[tuple[Family, bool], ...]


@dataclass(frozen=True, slots=True)
class PeerOpen:
    """The peer's OPEN. It comes before the `PeerUp` of the same session.

    `add_path` lists the families in which the peer is willing to send several paths. `refresh`: whether it sends its
    routes again when asked (RFC 2918).
    """

    peer: str
    router_id: bytes
    asn: int
    hold_time: int
    families: tuple[Family, ...]
    add_path: tuple[Family, ...] = ()
    restart: GracefulRestart | None = None
    refresh: bool = False


class AnnouncedPath(NamedTuple):
    """One prefix of an UPDATE; `path_id` is 0 without add-path. The attributes hold the next hop."""

    prefix: Prefix
    path_id: int
    attributes: Attributes


class WithdrawnPath(NamedTuple):
    prefix: Prefix
    path_id: int


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """One UPDATE. Withdrawals count first: a message may hold both (RFC 4271 §3.1).

    `error` says that ExaBGP found the attributes malformed and made the announcements withdrawals (RFC 7606).
    """

    peer: str
    announced: tuple[AnnouncedPath, ...] = ()
    withdrawn: tuple[WithdrawnPath, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EndOfRib:
    peer: str
    family: Family


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """The peer asks for our routes again (`query`), or marks `begin` and `end` of its own (RFC 7313)."""

    peer: str
    family: Family
    subtype: str


@dataclass(frozen=True, slots=True)
class SpeakerStarted:
    """An ExaBGP process runs, the first or a later one: no session yet, and none of our announcements.

    `problem` is a sentence: what of the configuration it does not have yet; empty if nothing.
    """

    problem: str = ""


@dataclass(frozen=True, slots=True)
class SpeakerStopped:
    """ExaBGP ended: every session is gone, without a `PeerDown` each. `reason` is a sentence.

    `final`: it would end so again before the configuration or the node changes; it is tried rarely.
    """

    reason: str
    final: bool = False


PeerEvent: TypeAlias = PeerConnected | PeerUp | PeerDown | PeerOpen | UpdateReceived | EndOfRib | RouteRefresh
SpeakerEvent: TypeAlias = PeerEvent | SpeakerStarted | SpeakerStopped
