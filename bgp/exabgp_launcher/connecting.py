"""How a session gets its TCP connection: what is accepted, for whom, with which TTL, and when the next try is."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from bgp.exabgp_launcher.replacement import ReplacedFunction, Replacement
from bgp.exabgp_launcher.second_connections import settle

CONNECTIONS_WAITING = 4096  # beyond these the kernel drops what comes, and a peer tries again seconds later
RECONNECT_SECONDS = 5  # the longest pause between two attempts to connect
LISTEN_PARAMETERS = ("self", "local_ip", "peer_ip", "local_port", "use_md5", "md5_base64", "ttl_in")


def replacements() -> list[Replacement]:
    from exabgp.reactor.delay import Delay
    from exabgp.reactor.listener import Listener
    from exabgp.reactor.peer import Peer

    return [
        ReplacedFunction(Listener, "incoming", ("self",), accept_all),
        ReplacedFunction(Listener, "new_connections", ("self",), take_up_connections),
        ReplacedFunction(
            Peer, "handle_connection", ("self", "connection"), check_incoming_ttl(settle(Peer.handle_connection))
        ),
        ReplacedFunction(Listener, "_listen", LISTEN_PARAMETERS, send_gtsm_ttl(Listener._listen)),
        ReplacedFunction(Delay, "increase", ("self",), increase_capped(Delay.increase)),
    ]


def accept_all(listener: Any) -> bool:
    """Listener.incoming that accepts whatever waits; return whether there is a connection to be taken up.

    As released it accepts one in each turn of the loop, and what does not fit into the queue meanwhile is dropped.
    """
    from exabgp.logger import log

    for listening in listener._sockets if listener.serving else ():
        try:
            while True:
                accepted, _ = listening.accept()
                listener._accepted[accepted] = accepted
        except BlockingIOError:
            pass  # none waits any more
        except OSError as refused:
            log.critical(lambda refused=refused: str(refused), "network")
    return bool(listener._accepted)


def take_up_connections(listener: Any) -> Iterator[None]:
    """Listener.new_connections that finds the peer of each connection by both of its addresses.

    As released it compares each connection with every peer, and leaves the others when one has no peer. One that its
    peer refuses, as there is another already, is closed with its last reference, without the NOTIFICATION of RFC 4271
    §6.8 (Cease, connection collision resolution: RFC 4486 §4).
    """
    import uuid

    from exabgp.reactor.listener import set_accepted_ttl

    reactor = listener._reactor
    by_addresses = {
        (peer.neighbor["peer-address"].top(), peer.neighbor["local-address"].top()): peer
        for peer in reactor._peers.values()
    }
    for connection in listener._connected():
        peer = by_addresses.get((connection.local, connection.peer))  # ExaBGP has the peer's in `local`
        if peer is None:
            refusal = connection.notification(6, 3, "no session configured for the peer")
        else:
            set_accepted_ttl(connection, peer.neighbor)
            refusal = peer.handle_connection(connection)
        if refusal is not None:
            reactor.asynchronous.schedule(str(uuid.uuid1()), "refusing a connection", refusal)
        yield


def check_incoming_ttl(released: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return Peer.handle_connection that holds a session the peer dialled to the neighbour's `incoming-ttl`.

    As released only what we dial is, or every peer that dials the same address (RFC 5082 is per neighbour).
    """
    from exabgp.reactor.network.tcp import set_minimum_ttl

    def handle_connection(peer: Any, connection: Any) -> Any:
        lowest = peer.neighbor["incoming-ttl"]
        if lowest and connection.io:
            set_minimum_ttl(connection.io, connection.afi, connection.peer, lowest)
        return released(peer, connection)

    return handle_connection


def send_gtsm_ttl(released: Callable[..., None]) -> Callable[..., None]:
    """Return Listener._listen whose sockets answer with the TTL that peers with TTL security ask for.

    As released the answer to their SYN bears 64, and they never see it.
    """
    from exabgp.protocol.family import AFI
    from exabgp.reactor.network.tcp import GTSM_SENDING_TTL, set_sending_ttl

    def listen(listener: Any, local_ip: Any, peer_ip: Any, *more: Any) -> None:
        listener._backlog = CONNECTIONS_WAITING
        released(listener, local_ip, peer_ip, *more)
        for listening, (address, *_) in listener._sockets.items():
            family = AFI.ipv6 if listening.family == socket.AF_INET6 else AFI.ipv4
            set_sending_ttl(listening, family, address, GTSM_SENDING_TTL)

    return listen


def increase_capped(released: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return Delay.increase that pauses 5 s at most before the next attempt, not 60."""

    def increase(delay: Any) -> None:
        released(delay)
        delay._next = min(delay._next, RECONNECT_SECONDS)

    return increase
