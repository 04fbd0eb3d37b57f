"""Which connections are taken up, and how soon the next attempt follows."""

from __future__ import annotations

import contextlib
import socket
from types import SimpleNamespace
from typing import Any

from bgp.exabgp_launcher import connecting
from tests.bgp.exabgp_launcher.in_python import patched


def test_all_that_wait_are_accepted_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as ending:
        listening.setblocking(False)
        for _ in range(3):
            ending.enter_context(socket.create_connection(listening.getsockname()))
        listener = SimpleNamespace(serving=True, _sockets={listening: None}, _accepted={})
        assert connecting.accept_all(listener)
        assert len(listener._accepted) == 3
        for accepted in listener._accepted:
            ending.enter_context(accepted)
        listener._accepted = {}
        assert not connecting.accept_all(listener)


def test_each_connection_goes_to_the_peer_with_both_of_its_addresses() -> None:
    def text(address: str) -> Any:
        return SimpleNamespace(top=lambda: address)

    def connection(peer: str, own: str) -> Any:
        return SimpleNamespace(local=peer, peer=own, io=None, notification=lambda *_: None)

    taken, refused = list[Any](), list[Any]()
    neighbor = {"peer-address": text("192.0.2.2"), "local-address": text("192.0.2.1")}
    neighbor |= dict.fromkeys(("incoming-ttl", "outgoing-ttl"))
    world = SimpleNamespace(
        _peers={"2": SimpleNamespace(neighbor=neighbor, handle_connection=taken.append)},
        asynchronous=SimpleNamespace(schedule=lambda *work: refused.append(work)),
    )
    known, stranger = connection("192.0.2.2", "192.0.2.1"), connection("192.0.2.3", "192.0.2.1")
    elsewhere = connection("192.0.2.2", "198.51.100.1")
    listener = SimpleNamespace(_reactor=world, _connected=lambda: iter([stranger, elsewhere, known]))
    list(connecting.take_up_connections(listener))
    assert taken == [known]
    assert len(refused) == 2


def test_the_pause_before_a_reconnect_never_exceeds_five_seconds() -> None:
    done = patched(
        "from exabgp.reactor.delay import Delay\n"
        "delay, pauses = Delay(), []\n"
        "for _ in range(20): delay.increase(); pauses.append(delay._next)\n"
        "assert pauses[:3] == [1, 2, 3] and max(pauses) == pauses[-1] == 5, pauses"
    )
    assert done.returncode == 0, done.stderr
