"""Which connections are taken up, and how soon the next attempt follows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bgp.events import PeerUp, SpeakerStarted
from bgp.exabgp_launcher import connecting
from tests.bgp.exabgp_launcher.in_python import patched
from tests.bgp.exabgp_nodes import PATIENCE, address, node, peer, speaker

NOTIFICATION, CEASE, COLLISION = 3, 6, 7


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
        return SimpleNamespace(local=peer, peer=own, io=None, notification=lambda *_: "a NOTIFICATION")

    def take(connection: Any) -> Any:
        taken.append(connection)
        return "a NOTIFICATION" if len(taken) > 1 else None

    taken, refused = list[Any](), list[Any]()
    neighbor = {"peer-address": text("192.0.2.2"), "local-address": text("192.0.2.1")}
    neighbor |= dict.fromkeys(("incoming-ttl", "outgoing-ttl"))
    world = SimpleNamespace(
        _peers={"2": SimpleNamespace(neighbor=neighbor, handle_connection=take)},
        asynchronous=SimpleNamespace(schedule=lambda *work: refused.append(work)),
    )
    known, stranger = connection("192.0.2.2", "192.0.2.1"), connection("192.0.2.3", "192.0.2.1")
    elsewhere = connection("192.0.2.2", "198.51.100.1")
    listener = SimpleNamespace(_reactor=world, _connected=lambda: iter([stranger, elsewhere, known]))
    list(connecting.take_up_connections(listener))
    assert taken == [known]
    assert len(refused) == 2
    again = connection("192.0.2.2", "192.0.2.1")
    listener._connected = lambda: iter([again])
    list(connecting.take_up_connections(listener))
    assert taken == [known, again]
    assert refused[2][2] == "a NOTIFICATION"


async def test_a_second_connection_of_a_peer_is_refused_with_a_notification(tmp_path: Path, network: None) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        async with peer(2, of=1):
            await one.wait_for(PeerUp(address(2)))
            reader, writer = await asyncio.open_connection(address(1), 179, local_addr=(address(2), 0))
            async with asyncio.timeout(PATIENCE):
                received = await reader.read()
            writer.close()
            assert received[18:21] == bytes((NOTIFICATION, CEASE, COLLISION))
            assert one.is_up(2)


def test_the_pause_before_a_reconnect_never_exceeds_five_seconds() -> None:
    done = patched(
        "from exabgp.reactor.delay import Delay\n"
        "delay, pauses = Delay(), []\n"
        "for _ in range(20): delay.increase(); pauses.append(delay._next)\n"
        "assert pauses[:3] == [1, 2, 3] and max(pauses) == pauses[-1] == 5, pauses"
    )
    assert done.returncode == 0, done.stderr
