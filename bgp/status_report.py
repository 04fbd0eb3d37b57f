"""The sidecar's own report, as status shows it: plain JSON, times in seconds since the epoch.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bgp.rib_in import PeerSession, SessionState
from bgp.speaker import Attributes, HeldBackSession
from net.prefix import Prefix

STEP_SECONDS = 1.0


def steady_epoch(known: float, found: float) -> float:
    """Return when the monotonic clock was 0, in seconds since the epoch: as known, unless the wall clock was set.

    Two clocks are never read at one moment, and by what lies between, a session would seem to have come up anew.
    """
    return found if abs(found - known) >= STEP_SECONDS else known


def session_rows(
    peers: Mapping[str, PeerSession],
    held_back: Sequence[HeldBackSession],
    *,
    changing: Mapping[str, str],
    sent_to: Callable[[str], Mapping[Prefix, Attributes]],
    likely_reason: Callable[[PeerSession], str],
    held_back_since: float,
    epoch: float,
) -> list[dict[str, Any]]:
    """Return every session, those that ExaBGP has first.

    One that is to be held back is shown as it is until ExaBGP has ended it: meanwhile it carries routes, and whoever
    reads "held back" may take it for gone. changing: what becomes of those that ExaBGP has otherwise than they are
    wanted. sent_to: what a peer is announced. epoch: when the clock of the moments given was 0.
    """
    soon = {**changing, **{each.address: f"it is about to be held back: {each.reason}" for each in held_back}}
    return [
        *(
            session_row(peer, sent_to(name), peer.since + epoch, likely_reason(peer), soon.get(name, ""))
            for name, peer in peers.items()
        ),
        *(held_back_row(each, held_back_since + epoch) for each in held_back if each.address not in peers),
    ]


def session_row(
    peer: PeerSession,
    announced: Mapping[Prefix, Attributes],
    since: float,
    likely_reason: str = "",
    soon: str = "",
) -> dict[str, Any]:
    """Return one session that ExaBGP has. `announced` of it counts the routes of the families both ends speak.

    likely_reason: why it may be down, if it is. soon: what becomes of it with ExaBGP's next load.
    """
    up = peer.state is SessionState.UP
    families = peer.families if up else ()
    return {
        "address": peer.neighbour.address,
        "kind": peer.neighbour.kind,
        "as_number": peer.neighbour.peer_as,
        "state": "up" if up else "start",
        "since": round(since, 3),
        "info": _info(peer, likely_reason) + (f"; {soon}" if soon else ""),
        "learned": sum(received.reject_reason is None for received in peer.routes.values()),
        "announced": sum(prefix.family in families for prefix in announced),
        "stale": len(peer.stale),
        "last_error": peer.last_error,
        "flaps": peer.flaps,
        "refused": {str(reason): count for reason, count in peer.rejected().items()},
        "used": {share.of: share.used for share in peer.shares()},
        "limits": {share.of: share.limit for share in peer.shares()},
        "disagreements": peer.disagreements,
    }


def held_back_row(session: HeldBackSession, since: float) -> dict[str, Any]:
    """Return a session that must not come up, and that ExaBGP does not have, in the shape of those that may."""
    return {
        "address": session.address,
        "kind": session.kind,
        "as_number": session.peer_as,
        "state": "held back",
        "since": round(since, 3),
        "info": session.reason,
        "learned": 0,
        "announced": 0,
        "stale": 0,
        "last_error": "",
        "flaps": 0,
        "refused": {},
        "used": {},
        "limits": {},
        "disagreements": 0,
    }


def disagreements(peers: Mapping[str, PeerSession]) -> str:
    """Return which peers sent UPDATEs that the two decoders read differently, as a sentence; empty if none did."""
    counts = {address: peer.disagreements for address, peer in peers.items() if peer.disagreements}
    if not counts:
        return ""
    names = ", ".join(sorted(counts))
    return (
        f"ExaBGP and the sidecar read {sum(counts.values())} UPDATE(s) differently, of {names}; what "
        "ExaBGP says counts while FELIX_BGPCOMPAREDECODERS is on, and the sidecar's log has the difference"
    )


def _info(peer: PeerSession, likely_reason: str) -> str:
    """Return the state of RFC 4271 §8.2.2, Passive where the peer is to dial, and why it is not up."""
    match peer.state:
        case SessionState.UP:
            return "Established"
        case SessionState.CONNECTED:
            state = "OpenSent"
        case SessionState.DOWN:
            state = "Passive" if peer.neighbour.passive else "Active"
    reasons = "; ".join(filter(None, (peer.last_error, likely_reason)))
    return f"{state}: {reasons}" if reasons else state
