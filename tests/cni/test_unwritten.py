"""Pods that an agent answered for and did not write on are taken up by the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cni.attachment import Attachment
from cni.pod_devices import OwnedLink
from cni.unwritten import misreported, unwritten
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import IPAM, POD_IPS
from datastore.store import Changed
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import DUAL, until
from tests.cni.pod_store import PodStore
from tests.cni.test_endpoint_writer import ATTACHMENT, writing

POD = WorkloadEndpoint.make("n1-k8s-web-eth0", "default", node="n1", pod="web").with_metadata(uid="u1")


def device(container: str = "c1", uid: str = "u1", end: str = "eth0") -> OwnedLink:
    return OwnedLink(7, "cali0", Attachment("net", container, end), pod_uid=uid)


@pytest.mark.parametrize(
    ("owned", "container", "is_unwritten"),
    [
        (device(), None, True),
        (device(), "c1", False),
        (device("c2"), "c1", True),  # a sandbox that was made anew
        (device(uid="u2"), None, False),  # of a pod that has gone
        (device(uid=""), None, False),
        (device(end="net1"), None, False),
    ],
)
def test_a_device_whose_pod_does_not_name_its_container_is_unwritten(
    owned: OwnedLink, container: str | None, is_unwritten: bool
) -> None:
    pod = POD.with_spec(container_id=container)
    assert unwritten([owned], [pod]) == ([(owned, pod)] if is_unwritten else [])


@pytest.mark.parametrize(
    ("written", "reported", "is_misreported"),
    [
        ("10.65.0.9/32", ("10.65.0.2/32",), True),  # the status is of the container before
        ("10.65.0.9/32", ("10.65.0.9/32",), False),
        ("10.65.0.9/32,fd65::9/128", ("10.65.0.9/32",), False),  # of a kubelet that reports one IP version
        ("10.65.0.9/32", (), False),  # it is over, or has given its address back
        ("", ("10.65.0.2/32",), False),
    ],
)
def test_a_device_is_misreported_whose_pod_has_an_address_that_was_not_written_with_its_containers_name(
    written: str, reported: tuple[str, ...], is_misreported: bool
) -> None:
    pod = POD.with_spec(container_id="c1", ip_networks=reported).with_metadata(annotations={POD_IPS: written})
    assert misreported([device()], [pod]) == ([(device(), pod)] if is_misreported else [])
    assert misreported([device("c2")], [pod]) == []


async def restarted(before: InMemory, store: PodStore, folder: Path) -> InMemory:
    """The next agent of the node: the devices and the store are as they were, and its watch has reported all."""
    node = InMemory(store, folder)
    node.devices.made, node.devices.pod_uids = before.devices.made, before.devices.pod_uids
    for pod in (await store.list(WorkloadEndpoint)).objects:
        node.known.observe(Changed(pod))
    return node


async def test_the_next_agent_routes_to_such_a_pod_and_writes_on_it(tmp_path: Path) -> None:
    store = PodStore()
    async with in_memory(tmp_path, store) as first:
        uid = store.make_pod()
        result = await first.add(uid=uid, **DUAL)
        node = await restarted(first, store, tmp_path)
        [endpoint] = await node.unwritten.take_up()
        assert [str(one) for one in endpoint.spec.ip_networks] == [ip["address"] for ip in result["ips"]]
        assert endpoint.spec.interface_name in node.devices.made
        assert await node.unwritten.take_up() == []
        await node.check(result, uid=uid, **DUAL)
        assert await node.add(uid=uid, **DUAL) == result
        async with writing(node):
            await until(lambda: store.written == ["c1"])
        node = await restarted(node, store, tmp_path)
        assert await node.unwritten.take_up() == []
        await node.delete(uid=uid)
        store.delete_pod()
        assert await node.holds_nothing()


async def test_the_next_agent_routes_to_what_is_assigned_while_the_status_is_of_the_container_before(
    tmp_path: Path,
) -> None:
    store = PodStore()
    async with in_memory(tmp_path, store) as first:
        uid = store.make_pod(**{POD_IPS: "10.65.0.200/32"})
        result = await first.add(uid=uid)
        async with writing(first):
            await until(lambda: store.written == ["c1"])
        assigned = store.pod().spec.ip_networks
        node = await restarted(first, store, tmp_path)
        assert await node.unwritten.take_up() == [], "an annotation that another wrote is not believed"
        store.report("10.99.0.2/32")
        [endpoint] = await (await restarted(first, store, tmp_path)).unwritten.take_up()
        assert endpoint.spec.ip_networks == assigned
        assert [str(one) for one in assigned] == [ip["address"] for ip in result["ips"]]
        assert endpoint.spec.container_id == "c1"
        assert store.written == ["c1"], "there is nothing to write"


async def test_a_newer_container_is_not_said_to_have_its_addresses_from_where_an_older_one_had_them(
    tmp_path: Path,
) -> None:
    """The network had addresses of `host-local` when the older one came; the configuration is another since."""
    store = PodStore()
    async with in_memory(tmp_path, store) as first:
        await first.add(uid=store.make_pod(**{IPAM: "host-local"}))
        [waiting] = [first.writer.of(ATTACHMENT)]
        assert waiting is not None and IPAM not in waiting.annotations
        [endpoint] = await (await restarted(first, store, tmp_path)).unwritten.take_up()
        assert IPAM not in endpoint.annotations


async def test_a_device_whose_addresses_were_released_or_cannot_be_read_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = PodStore()
    async with in_memory(tmp_path, store) as first:
        await first.add(uid=store.make_pod())
        node = await restarted(first, store, tmp_path)
        [block] = (await store.list(IPAMBlock)).objects
        store.spoil(block)
        assert await node.unwritten.take_up() == []
        assert "take up cali0761ccbeace of pod default/web-1" in caplog.text
        store.unreadable = ()
        assert await (await restarted(first, store, tmp_path)).unwritten.take_up() == []
        assert store.written == []
