"""Two sidecars with their real ExaBGPs.

agent a ── sidecar a ── ExaBGP ═════ ExaBGP ── sidecar b ── agent b
           192.0.2.1                            192.0.2.2
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bgp.fabric import Fabric, mesh, node, routes, until


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with Fabric(tmp_path, [1, 2]) as made:
        yield made


async def test_what_one_agent_announces_the_other_learns_and_unlearns(fabric: Fabric) -> None:
    async with node(fabric, 1) as a, node(fabric, 2) as b:
        await a.agent.configure(mesh(1, [2]))
        await a.agent.announce(routes(1, "10.65.1.0/26", "10.65.9.7/32"))
        await b.agent.configure(mesh(2, [1]))
        await b.agent.announce(routes(2, "10.65.2.0/26"))
        await b.wait_for_routes({"10.65.1.0/26": [1], "10.65.9.7/32": [1]})
        await a.wait_for_routes({"10.65.2.0/26": [2]})
        await until(lambda: a.settled and b.settled, "both to have settled")
        await a.agent.announce(routes(1, "10.65.1.0/26"))
        await b.wait_for_routes({"10.65.1.0/26": [1]})
        peer = await b.wait_for_peer(1, state="up", info="Established", learned=1, announced=1, stale=0)
        assert peer["kind"] == "mesh"
        assert peer["refused"] == {}
