"""What becomes of the connection that there is when the same peer makes another one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

# A session is not up for so long: the second connection was under way before, and no peer has restarted.
COLLISION_SECONDS = 1.0
RESTARTED = "closing connection: the peer has connected anew, so it has restarted"  # a silent end: bgp/notification.py


def settle(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Peer.handle_connection that lets a peer in which has restarted.

    As released a peer that restarts without our noticing, as after a loss of power, is refused until the hold time of
    its old session is over.
    """

    def handle_connection(peer: Any, connection: Any) -> Any:
        if has_restarted(peer, time.monotonic()):
            peer._reset(RESTARTED)
        return released(peer, connection)

    return handle_connection


def has_restarted(peer: Any, now: float) -> bool:
    """Whether a further connection of a peer says that its session, which is up here, is none any more.

    So it does of a peer that restarts gracefully in any family (RFC 4724 §5); its routes stay as stale ones. Of others
    the session that is up counts (RFC 4271 §6.8).
    """
    if not peer.established() or peer.stopping() or peer._teardown or not peer.proto:
        return False
    restart = peer.proto.negotiated.received_open.capabilities.get(64)  # RFC 4724 §3
    up_at: float = getattr(peer.proto, "felix_up_at", math.inf)
    return bool(restart) and now - up_at >= COLLISION_SECONDS
