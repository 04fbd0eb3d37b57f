"""Thousands of changes of few prefixes: a real BIRD ends with exactly what is wanted, and only thanks to the fence.

this test ── sidecar ── ExaBGP ═════ BIRD       all on one loopback device
             10.9.0.1               10.9.0.2
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgp.exabgp_commands import announce
from bgp.exabgp_supervisor import ExaBGP
from bgp.protocol import Announce, Complete, Configure, Hello, Withdraw, encode
from bgp.sidecar import Sidecar
from bgp.speaker import Attributes, LocalNode, Neighbour, Speaker
from net.prefix import Prefix, pack
from tests.bgp.bird import Bird
from tests.bgp.fabric import AS, until
from tests.bgp.network import own_network

OURS, BIRDS = "10.9.0.1", "10.9.0.2"
PREFIXES = [Prefix.parse(f"10.65.{n}.0/26") for n in range(20)]
BEHIND = Prefix.parse("10.66.0.0/26")
MEDS = [Attributes(pack(OURS), med=med) for med in range(1, 4)]
SPEAKER = Speaker(
    name="ours",
    router_id=pack(OURS),
    listen=(OURS,),
    port=179,
    neighbours=(Neighbour(BIRDS, OURS, AS, AS, passive=True, families=("ipv4",)),),
    local=LocalNode(AS, pack(OURS)),
)


@pytest.fixture
def bird(tmp_path: Path) -> Iterator[Bird]:
    with own_network():
        made = Bird(tmp_path, BIRDS, [OURS])
        yield made
        made.kill()


@asynccontextmanager
async def serving(exabgp: ExaBGP, socket: Path) -> AsyncIterator[Sidecar]:
    async with exabgp:
        sidecar = Sidecar(exabgp)
        served = asyncio.create_task(sidecar.serve(socket))
        try:
            await until(socket.exists, "the sidecar to listen")
            yield sidecar
        finally:
            sidecar.stop.set()
            await served


async def churn(socket: Path, operations: int) -> dict[str, int]:
    """Change announcements at random over the agent's socket; return prefix and MED of what should be left."""
    dice = random.Random(20261122)
    wanted: dict[str, int] = {}
    _, writer = await asyncio.open_unix_connection(str(socket))
    for message in (Hello("agent"), Configure(SPEAKER), Complete()):
        writer.write(encode(message))
    for _ in range(operations):
        prefix, attributes = dice.choice(PREFIXES), dice.choice([*MEDS, None])
        if attributes is None:
            wanted.pop(str(prefix), None)
            writer.write(encode(Withdraw((prefix,))))
        else:
            wanted[str(prefix)] = attributes.med or 0
            writer.write(encode(Announce({prefix: attributes})))
        await writer.drain()
        if dice.random() < 0.5:
            await asyncio.sleep(0.0005)
    writer.close()
    return wanted


async def all_sent(sidecar: Sidecar) -> None:
    await until(lambda: not any(rib.pending for rib in sidecar.ribs_out.groups.values()), "everything to be sent")


async def mismatches(bird: Bird, wanted: dict[str, int], patience: float) -> set[str]:
    """Return the prefixes at which BIRD differs, once it no longer does or `patience` is over."""
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        held = await asyncio.to_thread(bird.routes)
        wrong = {prefix for prefix in held.keys() | wanted.keys() if held.get(prefix) != wanted.get(prefix)}
        if not wrong or asyncio.get_running_loop().time() > deadline:
            return wrong
        await asyncio.sleep(0.1)


@asynccontextmanager
async def established(exabgp: ExaBGP, bird: Bird, socket: Path) -> AsyncIterator[Sidecar]:
    async with serving(exabgp, socket) as sidecar:
        bird.start()
        await churn(socket, 0)
        await until(lambda: bird.established(OURS), "the session")
        yield sidecar


async def test_five_thousand_changes_of_twenty_prefixes_leave_no_mismatch(bird: Bird, tmp_path: Path) -> None:
    socket = tmp_path / "bgp.sock"
    async with established(ExaBGP(tmp_path / "state"), bird, socket) as sidecar:
        wanted = await churn(socket, 5000)
        await all_sent(sidecar)
        assert await mismatches(bird, wanted, patience=60) == set()


async def test_three_changes_of_a_prefix_in_one_batch_leave_the_peer_with_the_second(
    bird: Bird, tmp_path: Path
) -> None:
    """Else there would be no need for the fence, and the test above would show nothing."""
    exabgp = ExaBGP(tmp_path / "state")
    first, second, last = MEDS
    async with established(exabgp, bird, tmp_path / "bgp.sock"):
        batch = [(prefix, attributes) for prefix in PREFIXES for attributes in (first, second, first)]
        await exabgp.send([line for prefix, attributes in batch for line in announce({prefix: attributes})])
        await exabgp.send(announce({BEHIND: last}))  # a batch of its own: what came before has been sent before
        await until(lambda: str(BEHIND) in bird.routes(), "the route behind the batch")
        held = bird.routes()
        assert second.med in {held[str(prefix)] for prefix in PREFIXES}
