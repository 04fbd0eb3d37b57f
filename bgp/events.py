"""What ExaBGP reports about peers and about itself, as values.

Pure. Whatever decodes ExaBGP's output makes these; RIB-in and the sidecar fold them. ExaBGP decides nothing and checks
little, so each event is what the peer sent.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Struct

from bgp.speaker import Attributes
from net.family import Family
from net.prefix import Prefix


class PeerConnected(Struct, frozen=True):
    """A TCP connection to or from this peer is established; BGP has not begun, and may never."""

    peer: str


class PeerUp(Struct, frozen=True):
    peer: str


class PeerDown(Struct, frozen=True):
    """The session, or an attempt at it, is over. No withdrawals follow: its routes are ours to keep or not."""

    peer: str
    reason: str


class GracefulRestart(Struct, frozen=True):
    """The graceful-restart capability of an OPEN (RFC 4724 §3).

    `restarting` is the Restart State bit; `families` says of each whether its forwarding state was preserved.
    """

    seconds: int
    restarting: bool
    families: tuple[tuple[Family, bool], ...]


class PeerOpen(Struct, frozen=True):
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


class UpdateReceived(Struct, frozen=True):
    """One UPDATE. Withdrawals count first: a message may hold both (RFC 4271 §3.1).

    `error` says that ExaBGP found the attributes malformed and made the announcements withdrawals (RFC 7606).
    `disagreement` is a sentence where both decoders were asked and differ; the rest is ExaBGP's answer then,
    or ours where ExaBGP makes no UPDATE of the message.
    """

    peer: str
    announced: tuple[AnnouncedPath, ...] = ()
    withdrawn: tuple[WithdrawnPath, ...] = ()
    error: str | None = None
    disagreement: str | None = None


class UpdatesReceived(Struct, frozen=True):
    """UPDATEs of one peer that came together, in their order."""

    peer: str
    updates: tuple[UpdateReceived, ...]


class EndOfRib(Struct, frozen=True):
    peer: str
    family: Family


class RouteRefresh(Struct, frozen=True):
    """The peer asks for our routes again (`query`), or marks `begin` and `end` of its own (RFC 7313)."""

    peer: str
    family: Family
    subtype: str


class SpeakerStarted(Struct, frozen=True):
    """An ExaBGP process runs, the first or a later one: no session yet, and none of our announcements.

    `problem` is a sentence: what of the configuration it does not have yet; empty if nothing.
    """

    problem: str = ""


class SpeakerStopped(Struct, frozen=True):
    """ExaBGP ended: every session is gone, without a `PeerDown` each. `reason` is a sentence.

    `final`: it would end so again before the configuration or the node changes; it is tried rarely.
    """

    reason: str
    final: bool = False


PeerEvent: TypeAlias = (
    PeerConnected | PeerUp | PeerDown | PeerOpen | UpdateReceived | UpdatesReceived | EndOfRib | RouteRefresh
)
SpeakerEvent: TypeAlias = PeerEvent | SpeakerStarted | SpeakerStopped
