"""Reloads are neither lost nor do they lose anything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bgp import exabgp_commands
from bgp.events import PeerDown, PeerUp, SpeakerStarted, UpdateReceived
from bgp.exabgp_launcher import reloads
from tests.bgp.exabgp_nodes import OURS, PATIENCE, address, node, peer, session, speaker, with_neighbour
from tests.bgp.network import SILENT


async def test_a_reload_is_carried_out_while_announcements_wait_for_a_dead_node(tmp_path: Path, network: None) -> None:
    silent = replace(session(1, 4), address=SILENT, passive=False)
    alone = replace(speaker(1, 5), neighbours=(silent,))
    async with node(tmp_path / "1") as one, node(tmp_path / "5") as five:
        await one.exabgp.reload(alone)
        await one.wait_for(SpeakerStarted())
        assert await one.exabgp.send(exabgp_commands.announce(OURS)) == [True, True]
        await one.exabgp.reload(replace(alone, neighbours=(silent, session(1, 5))))
        await five.exabgp.reload(speaker(5, 1))
        await one.wait_for(PeerUp(address(5)))
        assert one.events.count(SpeakerStarted()) == 1


@pytest.mark.parametrize("changed", [{"hold_time": 60}, {"restart_time": 1}])
async def test_a_session_defined_anew_while_it_is_down_comes_up_once(
    changed: dict[str, int], tmp_path: Path, network: None
) -> None:
    async with node(tmp_path / "1") as one, node(tmp_path / "2") as two:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        await one.exabgp.reload(with_neighbour(speaker(1, 2), **changed))
        await two.exabgp.reload(speaker(2, 1))
        await one.wait_for(PeerUp(address(2)))
        await two.wait_for(PeerUp(address(1)))
        await two.exabgp.send(exabgp_commands.announce(OURS))
        await one.wait_for(lambda event: isinstance(event, UpdateReceived))
        assert one.events.count(SpeakerStarted()) == two.events.count(PeerUp(address(1))) == 1
        assert not any(isinstance(event, PeerDown) for event in two.events)


async def test_a_session_defined_anew_during_its_handshake_starts_over(tmp_path: Path, network: None) -> None:
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(SpeakerStarted())
        reader, writer = await asyncio.open_connection(address(1), 179, local_addr=(address(2), 0))
        await reader.readexactly(19)  # the head of its OPEN, which ours would answer
        await one.exabgp.reload(with_neighbour(speaker(1, 2), hold_time=60))
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
        async with peer(2, of=1):
            await one.wait_for(PeerUp(address(2)))
        assert one.events.count(SpeakerStarted()) == 1


def test_what_waits_to_be_sent_to_a_peer_survives_a_reload() -> None:
    old, new = (
        SimpleNamespace(eor=deque(words), refresh=deque[str](), messages=deque[str]())
        for words in (["ipv4", "ipv6"], [])
    )
    one = SimpleNamespace(neighbor=old)

    def released(peer: Any, neighbor: Any) -> None:
        peer.neighbor = neighbor

    reloads.keep_queues(released)(one, new)
    assert one.neighbor is new
    assert list(new.eor) == ["ipv4", "ipv6"]


def test_a_reload_of_the_same_definition_repeats_nothing() -> None:
    kept: Callable[[Any, Any], None] = reloads.keep_queues(lambda peer, neighbor: None)
    one = SimpleNamespace(neighbor=SimpleNamespace(eor=deque(["ipv4"]), refresh=deque(), messages=deque()))
    kept(one, None)
    assert list(one.neighbor.eor) == ["ipv4"]
