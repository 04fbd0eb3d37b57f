"""What a check of the invariants costs after one change does not grow with the routes of others: looks are counted."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bgp.protocol import Learned
from bgp.speaker import LearnedPath
from felix_py.checks import Checks
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import FakeNode, affinity, node, pool
from tests.felix_py.fake_node import endpoint as record
from tests.felix_py.fakes import until
from tests.felix_py.test_invariants import CONTAINER, block
from tests.looks import counted_tables

LEAST, FEW, MANY = 50, 100, 100_000


class Cost(NamedTuple):
    asked: int
    dumps: int
    looks: dict[str, int]


def far(base: int, number: int) -> Prefix:
    return Prefix((base + (number << 8)).to_bytes(4), 24)


async def cost_among(many: int, folder: Path) -> Cost:
    """Return what a check costs after a pod came, among so many routes of peers, and of another daemon."""
    of_bird = RouteSpec(12, hops=(NextHop(2, pack("192.0.2.3")),), metric=32)
    routes = [(far(0x1E000000, number), of_bird) for number in range(many)]
    one = FakeNode(folder, node(), pool(), affinity(), block(), routes=routes)
    one.add_device()
    async with one.running() as agent:
        path = (LearnedPath(pack("192.0.2.2"), "192.0.2.2"),)
        one.peers.report(Learned({far(0x14000000, number): path for number in range(many)}))
        await until(lambda: one.kernel.held(far(0x14000000, many - 1)))
        leaving = frozenset({f"net.{CONTAINER}"})  # until it has come
        checks = Checks(agent, lambda: leaving, second_look_seconds=0, clock=lambda: 0.0)
        assert not (await checks.run(anew=False)).violated
        looks = counted_tables(LEAST, agent)
        await agent.attach(record("10.65.1.1/32", CONTAINER), 7)
        looks.take()
        before = one.kernel.matched, one.kernel.dumps
        assert not (await checks.run(anew=False)).violated
        return Cost(one.kernel.matched - before[0], one.kernel.dumps - before[1], looks.take())


async def test_a_check_after_an_add_costs_as_much_among_many_routes_as_among_few(tmp_path: Path) -> None:
    few, many = [await cost_among(number, tmp_path / str(number)) for number in (FEW, MANY)]
    assert (few.asked, few.dumps) == (many.asked, many.dumps) == (1, 0)
    assert not {table: looks for table, looks in many.looks.items() if looks > few.looks.get(table, 0) + LEAST}
