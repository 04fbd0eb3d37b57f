"""Blocks are watched from the moment that pools and sessions ask for them, and what they say is waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datastore.kinds.ipam import IPAMBlock
from kernel.link_codec import Link
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack
from tests.felix_py.fake_node import FakeNode, affinity, block, node, pool
from tests.felix_py.fakes import ETH0, until

TUNL0 = Link(5, "tunl0", up=True, carrier=True, mtu=1480, mac=b"")
LENT = Prefix.parse("10.65.3.1/32")
TUNNELLED = RouteSpec(80, 1030, hops=(NextHop(5, pack("192.0.2.2"), onlink=True),), mtu=1480)


def of_two(folder: Path, **pool_spec: Any) -> FakeNode:
    """Return a node that knows another, which has borrowed an address, from before its restart."""
    other = node("n2", "192.0.2.2/24", **{"projectcalico.org/IPv4IPIPTunnelAddr": "10.65.2.1"})
    records = (node(), other, pool(**pool_spec), affinity(), block("10.65.3.0/29", "n3", None, "n2"))
    one = FakeNode(folder, *records, routes=[(LENT, TUNNELLED)])
    one.kernel.devices = {link.index: link for link in (ETH0, TUNL0)}
    return one


async def test_where_borrowed_addresses_are_announced_blocks_are_not_watched(tmp_path: Path) -> None:
    one = of_two(tmp_path, ipipMode="Always")
    async with one.running():
        await until(lambda: not one.kernel.routes.get((LENT, 1030)))  # in sync, and nobody announces it
        assert [IPAMBlock in kinds for kinds in one.store.watched] == [False]


async def test_where_they_are_not_they_are_and_no_route_goes_before_they_are_known(tmp_path: Path) -> None:
    one = of_two(tmp_path, ipipMode="Always", disableBGPExport=True)
    async with one.running():
        await until(lambda: "IPAMBlock" in one.agent.watch.records.counts)
        assert [IPAMBlock in kinds for kinds in one.store.watched] == [False, True]
        stale = Prefix.parse("10.65.3.2/32")
        one.kernel.report(one.kernel.foreign_put(stale, TUNNELLED))
        await until(lambda: not one.kernel.routes.get((stale, 1030)))
        assert one.kernel.held(LENT) == TUNNELLED
        assert f"remove {LENT}" not in one.deeds


async def test_a_pool_that_is_not_exported_any_more_has_blocks_watched_from_then_on(tmp_path: Path) -> None:
    one = of_two(tmp_path, ipipMode="Always")
    async with one.running():
        await until(lambda: not one.kernel.routes.get((LENT, 1030)))
        changed = pool(ipipMode="Always", disableBGPExport=True)
        one.store.put(changed)
        await until(lambda: len(one.store.watched) == 2)
        assert IPAMBlock in one.store.watched[1]
