"""This node's end of the tunnel, with a veth under the name tunl0 where the kernel has no such device of its own."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from datastore.backoff import Backoff
from datastore.errors import Unavailable
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from felix_py.encap.tunnel_device import KernelTunnelDevice
from ipam.allocator import Allocator
from ipam.tunnels import TunnelAddresses
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside
from tests.datastore.memory_store import MemoryStore
from tests.felix_py.fakes import until
from tests.ipam.world import node, pool
from tests.kernel.netns import Namespace, namespace

IPIP = pool("pods", "10.65.0.0/24", ipip_mode="Always")


@pytest.fixture
def place() -> Iterator[Namespace]:
    with namespace("tunnel") as place:
        yield place


@pytest.fixture
def devices(place: Namespace) -> Iterator[Devices]:
    with inside(place.descriptor):
        devices = Devices()
    with closing(devices):
        yield devices


@pytest.fixture
def tunl0(place: Namespace) -> Namespace:
    if "tunl0" not in place.ip("link"):
        place.ip("link add tunl0 type veth peer name far")
    return place


def end(store: MemoryStore, devices: Devices) -> KernelTunnelDevice:
    return KernelTunnelDevice(TunnelAddresses(store, Allocator(store), "n1"), devices)


def addresses(place: Namespace) -> list[str]:
    return [line.split()[3] for line in place.ip("-o -4 address show dev tunl0").splitlines()]


async def test_the_device_is_up_with_its_mtu_and_its_one_address(tunl0: Namespace, devices: Devices) -> None:
    store = MemoryStore(node("n1"), IPIP)
    tunl0.ip("address add 192.0.2.77/24 dev tunl0")
    one = end(store, devices)
    assert await one.bring_in_line(1480)
    assert one.address is not None
    assert addresses(tunl0) == [f"{one.address}/32"]
    shown = tunl0.ip("link show tunl0")
    assert "mtu 1480" in shown and ",UP" in shown
    assert str((await store.list(Node)).objects[0].tunnel_address("ipip")) == one.address


async def test_a_second_time_it_changes_nothing(tunl0: Namespace, devices: Devices) -> None:
    store = MemoryStore(node("n1"), IPIP)
    assert await end(store, devices).bring_in_line(1480)
    before, writes = tunl0.ip("address show dev tunl0"), store.calls["write IPAMBlock"]
    assert await end(store, devices).bring_in_line(1480)
    assert (tunl0.ip("address show dev tunl0"), store.calls["write IPAMBlock"]) == (before, writes)


async def test_a_device_that_no_pool_wants_any_more_is_emptied_and_kept(tunl0: Namespace, devices: Devices) -> None:
    store = MemoryStore(node("n1"), IPIP)
    one = end(store, devices)
    assert await one.bring_in_line(1480)
    [stored] = (await store.list(IPPool)).objects
    await store.update(stored.with_spec(ipip_mode="Never"))
    assert await one.bring_in_line(0)
    assert (one.address, addresses(tunl0)) == (None, [])
    assert ",UP" in tunl0.ip("link show tunl0")
    assert (await store.list(Node)).objects[0].tunnel_address("ipip") is None


class WithoutIpip(Devices):
    """A kernel that has no such tunnels."""

    def create(self, name: str, kind: str) -> None:
        raise KernelError(f"create {name}: operation not supported (EOPNOTSUPP)", errno.EOPNOTSUPP)


async def test_a_kernel_without_ipip_is_a_sentence_and_no_other_node_is_told_to_send(place: Namespace) -> None:
    if "tunl0" in place.ip("link"):
        place.ip("link set tunl0 name gone0")  # it cannot be deleted
    store = MemoryStore(node("n1"), IPIP)
    with inside(place.descriptor):
        devices = WithoutIpip()
    with closing(devices):
        one = end(store, devices)
        assert not await one.bring_in_line(1480)
        assert "this kernel has no IPIP" in one.problem
        assert (await store.list(Node)).objects[0].tunnel_address("ipip") is None
        assert await one.bring_in_line(0)  # and where no pool wants it, there is nothing to say
        assert one.problem == ""


async def test_a_datastore_that_is_away_is_tried_again(tunl0: Namespace, devices: Devices) -> None:
    class Away(MemoryStore):
        async def get(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise Unavailable("read n1: the datastore is away")

    one = end(Away(node("n1"), IPIP), devices)
    assert not await one.bring_in_line(1480)
    assert "the datastore is away" in one.problem


async def test_where_no_pool_wants_the_tunnel_none_is_missed(
    tunl0: Namespace, devices: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(MemoryStore):
        async def get(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise Unavailable("read n1: the datastore is away")

    assert not await end(Away(), devices).bring_in_line(0)
    assert "no pool wants it; it is tried again" in caplog.text
    assert "packets" not in caplog.text


async def test_that_the_node_is_gone_is_no_problem_of_a_tunnel_that_no_pool_wants(
    tunl0: Namespace, devices: Devices, caplog: pytest.LogCaptureFixture
) -> None:
    one = end(MemoryStore(IPIP), devices)
    assert not await one.bring_in_line(0), "it is to be tried again"
    assert (one.problem, caplog.text) == ("", "")
    assert not await one.bring_in_line(1480)
    assert one.problem.startswith("bring up tunl0: ")


async def test_what_is_asked_for_is_done_by_the_task_and_tried_again_until_it_works(
    tunl0: Namespace, devices: Devices
) -> None:
    class AwayAtFirst(MemoryStore):
        async def get(self, kind: Any, name: str, namespace: str | None = None) -> Any:
            if self.calls["away"] < 3:
                self.calls["away"] += 1
                raise Unavailable("read n1: the datastore is away")
            return await super().get(kind, name, namespace)

    store = AwayAtFirst(node("n1"), IPIP)
    addresses_of_tunnels = TunnelAddresses(store, Allocator(store), "n1")
    one = KernelTunnelDevice(addresses_of_tunnels, devices, Backoff(0.001, 0.001))
    running = asyncio.create_task(one.run())
    one.apply(1480)
    await until(lambda: one.problem)
    await until(lambda: one.address and not one.problem)
    assert addresses(tunl0) == [f"{one.address}/32"]
    one.apply(1400)
    await until(lambda: "mtu 1400" in tunl0.ip("link show tunl0"))
    running.cancel()
