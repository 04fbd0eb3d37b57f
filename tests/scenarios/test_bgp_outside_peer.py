"""A router of another AS, which is no node: a real BIRD.

agent ── sidecar ── ExaBGP  AS 64512 ═════ AS 65001  BIRD
         192.0.2.1                                   192.0.2.3
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.import_policy import RejectReason
from net.prefix import Prefix
from tests.bgp.bird import Bird
from tests.bgp.fabric import Fabric, address, mesh, node, routes, until


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path, [1, 3]) as made:
        yield made


@pytest.fixture
def bird(fabric: Fabric) -> Iterator[Bird]:
    into = ["ip", "netns", "exec", fabric.namespace(3)]
    made = Bird(fabric.directory, address(3), [address(1)], into=into, own_as=65001)
    yield made
    made.kill()


async def test_it_may_lead_outside_but_not_into_a_pool_and_hears_our_as(fabric: Fabric, bird: Bird) -> None:
    inside = mesh(1, [3])
    router = replace(inside.neighbours[0], peer_as=65001, kind="global", is_node=False)
    pools = (Prefix.parse("10.65.0.0/16"),)
    async with node(fabric, 1) as ours:
        await ours.agent.configure(replace(inside, neighbours=(router,), local=replace(inside.local, pools=pools)))
        await ours.agent.announce(routes(1, "10.65.1.0/26"))
        bird.start("172.20.0.0/16", "10.65.8.0/26")
        await ours.wait_for_routes({"172.20.0.0/16": [3]})
        await ours.wait_for_peer(3, kind="global", refused={RejectReason.POOL_FROM_OUTSIDE: 1})
        await until(lambda: "10.65.1.0/26" in bird.routes(), "BIRD to learn ours")
        printed = bird.ask("show", "route", "all", "10.65.1.0/26")
        assert "BGP.as_path: 64512\n" in printed
        await ours.agent.configure(replace(inside, neighbours=(router,)))
        await ours.wait_for_routes({"172.20.0.0/16": [3], "10.65.8.0/26": [3]})
