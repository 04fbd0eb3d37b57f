"""Any of our processes is killed while routes change: nothing that stayed is ever withdrawn, and the ends meet.

agent a ── sidecar a ── ExaBGP ═════ ExaBGP ── sidecar b ── agent b
   ×          ×           ×
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgp.protocol import Withdrawn
from net.prefix import Prefix
from tests.bgp.fabric import Fabric, Node, mesh, node, routes, until

LASTING_A, LASTING_B = "10.65.1.0/26", "10.65.2.0/26"
OTHERS = [f"10.66.{number}.0/26" for number in range(8)]
ROUNDS = 8


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path, [1, 2]) as made:
        yield made


async def kill(victim: str, one: Node) -> None:
    assert one.process is not None
    match victim:
        case "ExaBGP":
            os.kill(await until(one.exabgp, "ExaBGP to run"), signal.SIGKILL)
        case "sidecar":
            one.process.kill()
            one.process.wait()
            one.start_sidecar()
        case "agent":
            await one.stop_agent()
            one.start_agent()
            await one.agent.configure(mesh(1, [2]))


def missed(one: Node, prefix: str) -> bool:
    return any(isinstance(event, Withdrawn) and Prefix.parse(prefix) in event.prefixes for event in one.events)


async def test_kills_at_random_moments_cost_no_route_that_lasts(fabric: Fabric) -> None:
    dice = random.Random(20261123)
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        await a.agent.configure(mesh(1, [2]))
        await a.agent.announce(routes(1, LASTING_A))
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce(routes(2, LASTING_B))
        await a.wait_for_routes({LASTING_B: [2]})
        await b.wait_for_routes({LASTING_A: [1]})
        for _ in range(ROUNDS):
            await kill(dice.choice(["ExaBGP", "sidecar", "agent"]), a)
            passing = dice.sample(OTHERS, dice.randrange(len(OTHERS)))
            await a.agent.announce(routes(1, LASTING_A, *passing))
            # Sometimes the next blow falls at once, sometimes when all is well again.
            if dice.random() < 0.5:
                await b.wait_for_routes({prefix: [1] for prefix in (LASTING_A, *passing)})
                await until(lambda: a.learned, "a's agent to know b's route")
        await b.wait_for_routes({prefix: [1] for prefix in (LASTING_A, *passing)})
        await a.wait_for_routes({LASTING_B: [2]})
        await until(lambda: a.converged, "a to settle")
        assert not missed(a, LASTING_B)
        assert not missed(b, LASTING_A)
