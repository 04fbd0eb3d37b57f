"""What becomes of the connection that there is when the same peer makes another one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bgp.exabgp_launcher.reading import READ_BYTES

# A session is not up for so long: the second connection was under way before, and no peer has restarted.
COLLISION_SECONDS = 1.0
CEASE, COLLISION_RESOLUTION = 6, 7  # RFC 4486 §4
RESTARTED = "closing connection: the peer has connected anew, so it has restarted"  # a silent end: bgp/notification.py


def settle(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Peer.handle_connection that ends the first connection as the RFCs say where the second takes its place.

    As released a peer that restarts without our noticing, as after a loss of power, is refused until the hold time of
    its old session is over; and a first connection that loses a collision is closed without a NOTIFICATION (RFC 4271
    §6.8).
    """
    from exabgp.bgp.fsm import FSM

    def handle_connection(peer: Any, connection: Any) -> Any:
        if has_restarted(peer, time.monotonic()):
            peer._reset(RESTARTED)
        first = peer.proto
        losing = first.connection if first and peer.fsm in (FSM.OPENSENT, FSM.OPENCONFIRM) else None
        if losing is None:
            return released(peer, connection)
        first.connection = None  # or it is closed before it can be told why
        refusal = released(peer, connection)
        if peer.proto is first:
            first.connection = losing
        else:
            close_collided(losing)
        return refusal

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


def close_collided(connection: Any) -> None:
    """Tell the peer that this connection has lost to another one, and close it.

    There is room for that: nothing but OPEN and KEEPALIVE was sent on it. What was not read is read first: closed with
    it, the connection would be reset, and the NOTIFICATION lost.
    """
    from exabgp.bgp.message import Notify

    with suppress(OSError):  # it has ended by itself
        if connection.io:
            connection.io.send(Notify(CEASE, COLLISION_RESOLUTION, "another connection was kept").message())
            connection.io.recv(READ_BYTES)
    connection.close()
