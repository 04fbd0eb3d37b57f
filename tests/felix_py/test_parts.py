"""Which parts an agent has, put together over real sockets; none of them is begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

import datastore
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import InSync
from felix_py.configuration.settings import settings_from
from felix_py.identity import Addresses, Identity
from felix_py.parts import Parts, ground_on, put_together
from ipam.allocator import AddressesWanted
from kernel.links import Devices
from kernel.path_watch import PathWatch
from net.prefix import Prefix, pack
from tests.cni.node import on_a_node


@asynccontextmanager
async def parts_of(url: str, folder: Path, **settings: str) -> AsyncIterator[Parts]:
    """Return the parts of node n1's agent on this datastore, which need not be there."""
    given = settings_from(
        {"FELIX_DATASTORE": url, "FELIX_RUN_DIR": str(folder), "FELIX_STATE_DIR": str(folder), **settings}
    )
    store = datastore.open(url)
    try:
        with ground_on(store) as ground:
            yield put_together(given, ground, Identity("n1", Addresses(pack("192.0.2.1"), None)), PathWatch())
    finally:
        await store.close()


async def test_what_only_kubernetes_has_is_there_on_kubernetes_only(tmp_path: Path) -> None:
    for url, on_kubernetes in (("sqlite:///:memory:", False), ("kubernetes:///nowhere", True)):
        async with parts_of(url, tmp_path) as parts:
            assert (parts.namespaces is not None, parts.condition is not None) == (on_kubernetes, on_kubernetes)


async def test_an_agent_takes_up_what_the_plugin_left_and_gives_the_plugin_what_it_knows(tmp_path: Path) -> None:
    async with parts_of("sqlite:///:memory:", tmp_path) as parts:
        assert list(await parts.agent.edges.take_up()) == []
        parts.agent.progress.attach_refused = "no veth in this kernel"
        assert not parts.reporter.progress().ready


async def test_an_agent_knows_what_it_has_claimed_before_its_watch_does(tmp_path: Path) -> None:
    async with parts_of("sqlite:///:memory:", tmp_path) as parts:
        await parts.ground.store.create(IPPool.make("pods", cidr="10.65.0.0/26"))
        await parts.ground.store.create(Node.make("n1"))
        await parts.ground.allocator.assign(AddressesWanted("n1", "net.pod"))
        assert parts.agent.edges.claimed() == (Prefix.parse("10.65.0.0/26"),)


@on_a_node
async def test_what_the_kernel_and_the_file_report_waits_for_pods_that_are_attached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_for: list[object] = []

    async def give_way(urgent: object, seconds: float) -> None:
        waited_for.append((urgent, seconds < 0.02))

    monkeypatch.setattr("felix_py.parts.give_way", give_way)
    async with parts_of(f"sqlite://{tmp_path}/cluster.db", tmp_path) as parts, asyncio.timeout(20):
        of_file, of_kernel = parts.ground.store.watch(IPPool), parts.ground.kernel.events()
        while not isinstance(await anext(of_file), InSync):
            pass
        await parts.ground.store.create(IPPool.make("pods", cidr="10.65.0.0/16"))
        await anext(of_file)
        assert set(waited_for) == {(parts.server, True)}
        waited_for.clear()
        with closing(Devices()) as devices:
            devices.add_address(1, pack("192.0.2.7"), 32)
        await anext(of_kernel)
        assert set(waited_for) == {(parts.server, True)}
