"""The sidecar's own report, as status shows it: plain JSON, times in seconds since the epoch.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bgp.rib_in import PeerSession, SessionState
from bgp.speaker import Attributes, HeldBackSession
from net.prefix import Prefix


def session_row(
    peer: PeerSession, announced: Mapping[Prefix, Attributes], since: float, likely_reason: str = ""
) -> dict[str, Any]:
    """Return one session. `announced` of it counts the routes of the families both ends speak.

    likely_reason: why it may be down, if it is.
    """
    up = peer.state is SessionState.UP
    families = peer.families if up else ()
    return {
        "address": peer.neighbour.address,
        "kind": peer.neighbour.kind,
        "as_number": peer.neighbour.peer_as,
        "state": "up" if up else "start",
        "since": round(since, 3),
        "info": _info(peer, likely_reason),
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
    """Return a session that must not come up, in the shape of those that may."""
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
