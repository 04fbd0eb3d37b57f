"""CHECK names each difference, in values and in real namespaces."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cni.addresses import Address
from cni.attachment import Attachment, PodRef
from cni.check import record_differences
from cni.settings import CniSettings
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from kernel.links import Devices
from kernel.netns import inside
from kernel.sysctl import write_sysctls
from tests.cni.conftest import configuration
from tests.cni.node import NODE, NodeUnderTest, Sandbox, on_a_node, serving_node, take_down, until

IMPATIENT = CniSettings(NODE, convergence_seconds=0.1)
ATTACHMENT, POD = Attachment("net", "c1", "eth0"), PodRef("default", "web-1")
ENDPOINT = WorkloadEndpoint.make(
    "n1-k8s-web--1-eth0", namespace="default", node="n1", pod="web-1", containerID="c1", ipNetworks=["10.65.0.1/32"]
)


def test_records_as_an_add_writes_them_do_not_differ() -> None:
    assert record_differences(ATTACHMENT, POD, ENDPOINT, ENDPOINT.addresses) == []


@pytest.mark.parametrize(
    ("endpoint", "reserved", "named"),
    [
        (None, ENDPOINT.addresses, "there is no WorkloadEndpoint for pod default/web-1"),
        (ENDPOINT.with_spec(container_id="c2"), ENDPOINT.addresses, "belongs to eth0 of container c2"),
        (ENDPOINT, (), "address 10.65.0.1 is not reserved under handle net.c1"),
    ],
)
def test_a_record_that_differs_is_named(
    endpoint: WorkloadEndpoint | None, reserved: Collection[Address], named: str
) -> None:
    [difference] = record_differences(ATTACHMENT, POD, endpoint, reserved)
    assert named in difference


def test_an_endpoint_that_names_no_container_is_its_pods_only_one() -> None:
    assert record_differences(ATTACHMENT, POD, ENDPOINT.with_spec(container_id=None), ENDPOINT.addresses) == []


def pod_side(change: Callable[[Devices, int], None]) -> Callable[[NodeUnderTest, Sandbox], None]:
    def act(node: NodeUnderTest, pod: Sandbox) -> None:
        with inside(pod.netns), closing(Devices()) as devices:
            link = devices.link("eth0")
            assert link
            change(devices, link.index)

    return act


def host_side(change: Callable[[Devices, int], None]) -> Callable[[NodeUnderTest, Sandbox], None]:
    def act(node: NodeUnderTest, pod: Sandbox) -> None:
        with closing(Devices()) as devices:
            link = devices.link("cali0761ccbeace")
            assert link
            change(devices, link.index)

    return act


def in_pod(pod: Sandbox, command: str) -> None:
    with inside(pod.netns):
        subprocess.run(["sh", "-ec", command], check=True)


def without_address(devices: Devices, index: int) -> None:
    for one in devices.addresses(index):
        devices.remove_address(index, one.address, one.length)


DAMAGES: list[tuple[Callable[[NodeUnderTest, Sandbox], None], str]] = [
    (pod_side(lambda devices, index: take_down("eth0")), "eth0 is down in the container"),
    (pod_side(lambda devices, index: devices.delete(index)), "there is no device cali0761ccbeace"),
    (pod_side(without_address), "eth0 has no address"),
    (host_side(lambda devices, index: take_down("cali0761ccbeace")), "cali0761ccbeace is down"),
    (host_side(lambda devices, index: devices.set_mac(index, b"\x02" * 6)), "instead of ee:ee:ee:ee:ee:ee"),
    (pod_side(lambda devices, index: devices.set_mtu(index, 9000)), "eth0 has MTU 9000"),
    (lambda node, pod: in_pod(pod, "ip route flush table main"), "the container has no default route"),
    (
        lambda node, pod: write_sysctls({"net/ipv4/conf/cali0761ccbeace/forwarding": "0"}),
        "forwarding is 0 instead of 1",
    ),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGES, ids=[named for _, named in DAMAGES])
@on_a_node
async def test_check_names_the_difference(
    shim: Path,
    tmp_path: Path,
    damage: Callable[[NodeUnderTest, Sandbox], None],
    named: str,
) -> None:
    async with serving_node(shim, tmp_path, settings=IMPATIENT) as node:
        pod = node.sandbox("web-1")
        network = configuration(prevResult=await node.add(pod))
        ended = await node.call(pod.environment("CHECK"), network)
        assert (ended.status, ended.stdout) == (0, b"")
        damage(node, pod)
        error = await node.refused(pod.environment("CHECK"), network)
        assert error["code"] == 102
        assert named in error["msg"]


@pytest.mark.parametrize(
    "change",
    [
        "sysctl -qw net.ipv4.ip_forward=1",
        "ip link set eth0 mtu 1400",
        "ip link set eth0 address 02:02:02:02:02:02",
        "ip neighbour flush dev eth0 nud permanent",
        # as the reference plugin sbr does
        "a=$(ip -br -4 addr show eth0 | awk '{print $3}'); ip rule add from $a table 100; "
        "ip route add 169.254.1.1 dev eth0 table 100; ip route add default via 169.254.1.1 dev eth0 table 100; "
        "ip route flush table main",
    ],
)
@on_a_node
async def test_check_complains_of_nothing_that_traffic_survives(shim: Path, tmp_path: Path, change: str) -> None:
    async with serving_node(shim, tmp_path, settings=IMPATIENT) as node:
        pod = node.sandbox("web-1")
        network = configuration(prevResult=await node.add(pod))
        in_pod(pod, change)
        ended = await node.call(pod.environment("CHECK"), network)
        assert (ended.status, ended.stdout) == (0, b"")


@on_a_node
async def test_check_sees_lost_records_and_routes(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path, settings=IMPATIENT) as node:
        pod = node.sandbox()
        network = configuration(prevResult=await node.add(pod))
        endpoint = (await node.endpoints())[0]

        async def found() -> str:
            return str((await node.refused(pod.environment("CHECK"), network))["msg"])

        await node.router.detach(endpoint)
        assert "the host has no route" in await found()
        await node.allocator.release_handle(f"k8s-pod-network.{pod.container}")
        assert "is not reserved" in await found()
        await node.store.delete(endpoint)
        assert "no WorkloadEndpoint" in await found()


@pytest.mark.parametrize("kind", [WorkloadEndpoint, IPAMHandle, IPAMBlock])
@on_a_node
async def test_a_record_that_cannot_be_read_is_no_difference_and_hides_none(
    shim: Path, tmp_path: Path, kind: type[Resource]
) -> None:
    async with serving_node(shim, tmp_path, settings=IMPATIENT) as node:
        pod = node.sandbox()
        network = configuration(prevResult=await node.add(pod))
        [endpoint] = await node.endpoints()
        node.spoil(kind)
        assert (await node.call(pod.environment("CHECK"), network)).status == 0
        await node.router.detach(endpoint)
        assert "the host has no route" in (await node.refused(pod.environment("CHECK"), network))["msg"]


@on_a_node
async def test_check_waits_for_a_route_that_is_being_written(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        network = configuration(prevResult=await node.add(pod))
        endpoint = (await node.endpoints())[0]
        _, [(prefix, spec)] = node.router.attached[endpoint.name]
        await node.router.detach(endpoint)
        inspect, found = node.veth.inspect, list[list[str]]()

        def watched(*arguments: Any) -> Any:
            pair, differences = inspect(*arguments)
            found.append(differences)
            return pair, differences

        monkeypatch.setattr(node.veth, "inspect", watched)
        checking = asyncio.create_task(node.call(pod.environment("CHECK"), network))
        await until(lambda: bool(found))
        await node.kernel.apply([(prefix, spec)])
        assert (await checking).status == 0
        assert "the host has no route" in found[0][0]


@on_a_node
async def test_check_without_a_prev_result_is_code_7(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        assert (await node.refused(pod.environment("CHECK")))["code"] == 7
