"""Two sidecars with their real ExaBGPs.

agent a ── sidecar a ── ExaBGP ═════ ExaBGP ── sidecar b ── agent b
           192.0.2.1                            192.0.2.2
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bgp.speaker import Attributes, LearnedPath, Speaker
from net.prefix import Prefix, pack
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
        await until(lambda: a.converged and b.converged, "both to have settled")
        await a.agent.announce(routes(1, "10.65.1.0/26"))
        await b.wait_for_routes({"10.65.1.0/26": [1]})
        peer = await b.wait_for_peer(1, state="up", info="Established", learned=1, announced=1, stale=0)
        assert peer["kind"] == "mesh"
        assert peer["refused"] == {}


async def test_both_families_each_on_a_session_of_its_own(fabric: Fabric) -> None:
    def dual(number: int, other: int) -> Speaker:
        four = mesh(number, [other])
        six = replace(four.neighbours[0], address=f"fd99::{other}", local_address=f"fd99::{number}", families=("ipv6",))
        return replace(four, listen=(*four.listen, f"fd99::{number}"), neighbours=(*four.neighbours, six))

    async with node(fabric, 1) as a, node(fabric, 2) as b:
        wide = {Prefix.parse("fd00:65::/122"): Attributes(pack("fd99::1"))}
        await a.agent.configure(dual(1, 2))
        await a.agent.announce({**routes(1, "10.65.1.0/26"), **wide})
        await b.agent.configure(dual(2, 1))
        await b.agent.announce({})
        await until(lambda: len(b.learned) == 2, "b to learn both")
        assert b.learned == {
            Prefix.parse("10.65.1.0/26"): (LearnedPath(pack("192.0.2.1"), "192.0.2.1"),),
            Prefix.parse("fd00:65::/122"): (LearnedPath(pack("fd99::1"), "fd99::1"),),
        }
        await until(lambda: a.converged and b.converged, "the end-of-RIB of both families")
        peers = await b.peers()
        assert {name: peer["learned"] for name, peer in peers.items()} == {"192.0.2.1": 1, "fd99::1": 1}
        assert {name: peer["announced"] for name, peer in (await a.peers()).items()} == {"192.0.2.2": 1, "fd99::2": 1}
