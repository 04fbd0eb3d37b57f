"""A real BIRD as a node of the mesh, and restarts on either side of the session.

agent ── sidecar ── ExaBGP ═════ BIRD
         192.0.2.1               192.0.2.3, which dials: its address is the greater text
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgp.protocol import Withdrawn
from tests.bgp.bird import Bird
from tests.bgp.fabric import Fabric, Node, address, mesh, node, routes, until

OURS, THEIRS = "10.65.1.0/26", "10.65.3.0/26"


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path, [1, 3]) as made:
        yield made


@pytest.fixture
def bird(fabric: Fabric) -> Iterator[Bird]:
    made = Bird(fabric.directory, address(3), [address(1)], into=["ip", "netns", "exec", fabric.namespace(3)])
    yield made
    made.kill()


@asynccontextmanager
async def exchanging(fabric: Fabric, bird: Bird) -> AsyncIterator[Node]:
    """Our node with one route of each side learned by the other."""
    async with node(fabric, 1) as ours:
        await ours.agent.configure(mesh(1, [3]))
        await ours.agent.announce(routes(1, OURS))
        bird.start(THEIRS)
        await ours.wait_for_routes({THEIRS: [3]})
        await until(lambda: bird.routes() == {OURS: 0}, "BIRD to learn ours")
        await until(lambda: ours.converged, "our side to settle")
        yield ours


@asynccontextmanager
async def always(holds: Callable[[], bool], what: str) -> AsyncIterator[None]:
    """Look again and again, while the body runs, that something never stops holding."""

    async def watch() -> None:
        while True:
            assert await asyncio.to_thread(holds), what
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield
        await asyncio.sleep(0.1)
        if watching.done():
            watching.result()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def withdrawn(ours: Node) -> bool:
    return any(isinstance(event, Withdrawn) for event in ours.events)


async def test_our_exabgp_is_killed_and_neither_side_misses_a_route(fabric: Fabric, bird: Bird) -> None:
    async with exchanging(fabric, bird) as ours:
        async with always(lambda: OURS in bird.routes(), "BIRD keeps our route"):
            os.kill(await until(ours.exabgp, "ExaBGP to run"), signal.SIGKILL)
            await ours.wait_for_peer(3, state="start")
            await ours.wait_for_peer(3, state="up", stale=0)
        assert not withdrawn(ours)
        await until(lambda: "Stale" not in bird.ask("show", "route", "all"), "BIRD to see our end-of-RIB")


async def test_our_sidecar_is_killed_and_the_agent_states_everything_again(fabric: Fabric, bird: Bird) -> None:
    async with exchanging(fabric, bird) as ours:
        assert ours.process is not None
        async with always(lambda: OURS in bird.routes(), "BIRD keeps our route"):
            ours.process.kill()
            ours.process.wait()
            ours.replayed = False
            ours.start_sidecar()
            await until(lambda: ours.replayed, "the replay of the new sidecar")
            await until(lambda: ours.converged, "the new sidecar to settle")
            await ours.wait_for_routes({THEIRS: [3]})
        assert not withdrawn(ours)


async def test_an_agent_that_restarts_gets_a_replay_and_drops_no_session(fabric: Fabric, bird: Bird) -> None:
    async with exchanging(fabric, bird) as ours:
        before = await ours.wait_for_peer(3, state="up")
        await ours.stop_agent()
        ours.start_agent()
        await until(lambda: ours.replayed, "the replay")
        assert ours.converged, "all had settled before this agent came"
        await ours.wait_for_routes({THEIRS: [3]})
        assert bird.routes() == {OURS: 0}
        await ours.agent.configure(mesh(1, [3]))
        await ours.agent.announce(routes(1, "10.65.7.0/26"))
        await until(lambda: bird.routes() == {"10.65.7.0/26": 0}, "what the old agent announced to be replaced")
        after = await ours.wait_for_peer(3, state="up")
        assert after["since"] == pytest.approx(before["since"], abs=0.1)
        assert after["flaps"] == 0


async def test_bird_is_killed_and_we_keep_its_routes_until_it_has_said_them_all_again(
    fabric: Fabric, bird: Bird
) -> None:
    async with exchanging(fabric, bird) as ours:
        bird.announce(THEIRS, "10.65.4.0/26")
        await ours.wait_for_routes({THEIRS: [3], "10.65.4.0/26": [3]})
        bird.kill()
        await ours.wait_for_peer(3, state="start", stale=2)
        assert not withdrawn(ours)
        bird.start(THEIRS, recover=True)
        await ours.wait_for_routes({THEIRS: [3]})
        gone = [event for event in ours.events if isinstance(event, Withdrawn)]
        assert [list(map(str, event.prefixes)) for event in gone] == [["10.65.4.0/26"]]
        await until(lambda: not bird.recovering(), "our end-of-RIB to end BIRD's recovery")
        await until(lambda: bird.routes() == {OURS: 0}, "BIRD to learn ours again")


async def test_a_node_that_lost_its_power_is_let_in_again_before_the_hold_time_of_its_old_session_is_over(
    fabric: Fabric, bird: Bird
) -> None:
    async with exchanging(fabric, bird) as ours:
        fabric.cut_off(3)
        bird.kill()
        fabric.power_on(3)
        assert (await ours.peers())[address(3)]["state"] == "up", "nobody has told us that it is gone"
        bird.start(THEIRS, recover=True)
        await ours.wait_for_peer(3, state="up", flaps=1, stale=0)
        log = (fabric.directory / "sidecar1.log").read_text()
        assert "the peer has connected anew, so it has restarted; 1 of its routes are stale" in log
        assert not withdrawn(ours)
        await until(lambda: bird.routes() == {OURS: 0}, "BIRD to learn ours again")


async def test_bird_ends_in_order_and_its_routes_go_at_once(fabric: Fabric, bird: Bird) -> None:
    async with exchanging(fabric, bird) as ours:
        bird.terminate()
        await ours.wait_for_routes({})
        peer = await ours.wait_for_peer(3, state="start", stale=0)
        assert peer["last_error"] == "administrative shutdown (NOTIFICATION 6/2 received)"


async def test_sigterm_leaves_our_routes_with_bird_and_leaving_for_good_takes_them_along(
    fabric: Fabric, bird: Bird
) -> None:
    async with exchanging(fabric, bird) as ours:
        assert ours.process is not None
        ours.process.send_signal(signal.SIGTERM)
        await until(lambda: ours.process and ours.process.poll() is not None, "the sidecar to end")
        assert bird.routes() == {OURS: 0}
        ours.start_sidecar()
        await ours.wait_for_peer(3, state="up", stale=0)
        fabric.run(1, *ours.command("--leave"), log="leave.log").wait()
        await until(lambda: bird.routes() == {}, "BIRD to forget ours")
        await until(lambda: ours.process and ours.process.poll() is not None, "the sidecar to end")
