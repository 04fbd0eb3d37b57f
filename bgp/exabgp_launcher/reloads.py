"""What becomes of sessions, and of what waits to be sent on them, when ExaBGP reads its configuration again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement


def replacements() -> list[Replacement]:
    from exabgp.reactor.loop import Reactor
    from exabgp.reactor.peer import Peer

    return [
        ReplacedFunction(Reactor, "_pending_adjribout", ("self",), nothing_pending),
        ReplacedFunction(Peer, "reconfigure", ("self", "restart_neighbor"), keep_queues(Peer.reconfigure)),
        ReplacedFunction(Peer, "reestablish", ("self", "restart_neighbor"), define_anew(Peer.reestablish)),
    ]


def nothing_pending(reactor: Any) -> bool:
    """Return that no announcement waits, so that a reload is carried out.

    As released a reload asked for while any announcement waits, be it for a peer that is away, is forgotten.
    """
    return False


def keep_queues(released: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return Peer.reconfigure that keeps end-of-RIBs and refreshes accepted but not sent when a reload comes."""

    def reconfigure(peer: Any, restart_neighbor: Any = None) -> None:
        before = peer.neighbor
        released(peer, restart_neighbor)
        for queue in ("eor", "refresh", "messages"):
            if peer.neighbor is not before:
                getattr(peer.neighbor, queue).extend(getattr(before, queue))

    return reconfigure


def define_anew(released: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Return Peer.reestablish under which a session that is not up takes its new definition at once.

    As released it is told to end, which nothing carries out while it is down: the next one, of the old definition, ends
    with a NOTIFICATION as soon as it has come up, and until then the list of sessions shows the old definition.
    """

    def reestablish(peer: Any, restart_neighbor: Any = None) -> None:
        released(peer, restart_neighbor)
        if not peer.established():
            peer._reset("its definition has changed")
            peer._delay.reset()

    return reestablish
