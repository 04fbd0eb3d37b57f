"""GC removes exactly what the runtime does not list."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cni.attachment import Attachment
from cni.collect import stale_attachments
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource
from ipam import block as blocks
from ipam.allocator import AddressesWanted
from tests.cni.conftest import configuration
from tests.cni.node import NodeUnderTest, Sandbox, on_a_node, serving_node

NETWORK = "net"


def block(*handles: str, node: str = "n1") -> IPAMBlock:
    """Return a block whose addresses are assigned under these handles, each to a pod of the same name."""
    made = blocks.new_block(ip_network("10.65.0.0/26"), node, 1)
    for ordinal, handle in enumerate(handles):
        attributes = {"node": node, "namespace": "default", "pod": f"pod-of-{handle}"}
        made = blocks.assign_at(made, ordinal, handle, attributes)
    return made


def endpoint(container: str | None, node: str = "n1") -> WorkloadEndpoint:
    name = f"{node}-{container}".lower()
    return WorkloadEndpoint.make(name, namespace="shop", node=node, pod=f"pod-{container}", containerID=container)


def stale(
    *valid: str,
    devices: Iterable[Attachment] = (),
    existing: Iterable[IPAMBlock] = (),
    endpoints: Iterable[WorkloadEndpoint] = (),
) -> dict[str, str]:
    """Return the stale containers, each with its pod; with its device where it is not the first."""
    listed = frozenset((container, "eth0") for container in valid)
    found = stale_attachments("n1", NETWORK, listed, devices=devices, existing=existing, endpoints=endpoints)
    assert all(pending.attachment.network == NETWORK for pending in found)
    return {
        ":".join((one.container_id, one.device)).removesuffix(":eth0"): f"{pod.namespace}/{pod.name}"
        for one, pod in found
    }


def test_each_record_alone_shows_a_stale_attachment() -> None:
    assert stale(devices=[Attachment(NETWORK, "c1", "eth0")]) == {"c1": "default/c1"}
    assert stale(existing=[block("net.c1")]) == {"c1": "default/pod-of-net.c1"}
    assert stale(endpoints=[endpoint("c1")]) == {"c1": "shop/pod-c1"}


def test_what_is_listed_is_not_stale_whatever_shows_it() -> None:
    devices = [Attachment(NETWORK, "c1", "eth0")]
    assert stale("c1", devices=devices, existing=[block("net.c1")], endpoints=[endpoint("c1")]) == {}


def test_a_container_that_is_listed_with_another_device_keeps_only_that_one() -> None:
    second = endpoint("c1").with_spec(endpoint="net1").with_metadata(annotations={"felix-py/network": NETWORK})
    assert stale("c1", devices=[Attachment(NETWORK, "c1", "net1")]) == {"c1:net1": "default/c1"}
    assert stale("c1", existing=[block("net.c1", "net.c1:net1")]) == {"c1:net1": "default/pod-of-net.c1:net1"}
    assert stale("c1", endpoints=[endpoint("c1"), second]) == {"c1:net1": "shop/pod-c1"}


def test_an_endpoint_is_the_networks_that_it_names() -> None:
    theirs = endpoint("c1").with_metadata(annotations={"felix-py/network": "other"})
    assert stale(endpoints=[theirs]) == {}


def test_a_listed_container_keeps_its_address_though_its_name_has_a_dot() -> None:
    assert stale("c.1", existing=[block("net.c.1")]) == {}


def test_a_container_with_a_handle_of_another_network_is_that_networks() -> None:
    assert stale(existing=[block("other.c1")], endpoints=[endpoint("c1")]) == {}
    assert stale(devices=[Attachment("other", "c1", "eth0")]) == {}


def test_records_of_other_nodes_and_endpoints_without_a_container_are_left_alone() -> None:
    assert stale(existing=[block("net.c1", node="n2")], endpoints=[endpoint("c2", node="n2"), endpoint(None)]) == {}


def test_an_address_that_is_not_a_pods_is_no_attachment() -> None:
    tunnel = blocks.assign_at(block(), 0, "ipip-tunnel-addr-n1", {"node": "n1", "type": "ipipTunnelAddress"})
    assert stale(existing=[tunnel]) == {}


def gc(node: NodeUnderTest, *valid: Sandbox, **members: Any) -> Any:
    listed = [{"containerID": one.container, "ifname": "eth0"} for one in valid]
    network = configuration(**({"cni.dev/valid-attachments": listed} | members))
    return node.call({"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, network)


@on_a_node
async def test_gc_removes_everything_of_what_is_not_listed(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        kept, stale = node.sandbox(), node.sandbox()
        result = await node.add(kept)
        await node.add(stale)
        assert (await gc(node, kept)).status == 0
        assert await node.assigned(stale) == set()
        assert await node.host_routes() == {result["ips"][0]["address"]}
        assert [one.spec.container_id for one in await node.endpoints()] == [kept.container]
        assert await node.add(kept) == result
        assert (await gc(node)).status == 0
        assert await node.holds_nothing()


@on_a_node
async def test_gc_finds_what_only_one_record_still_shows(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        only_device, only_address, only_endpoint = node.sandbox(), node.sandbox(), node.sandbox()
        for pod in (only_device, only_address, only_endpoint):
            await node.add(pod)
        by_container = {one.spec.container_id: one for one in await node.endpoints()}
        await node.store.delete(by_container[only_device.container])
        await node.allocator.release_handle(f"k8s-pod-network.{only_device.container}")
        await node.store.delete(by_container[only_address.container])
        await node.allocator.release_handle(f"k8s-pod-network.{only_endpoint.container}")
        assert (await gc(node)).status == 0
        await node.verbs.cleanup.delete_retired()
        assert (node.devices(), await node.endpoints()) == (set(), [])
        assert await node.assigned(only_address) == set()


@pytest.mark.parametrize("kind", [WorkloadEndpoint, IPAMHandle])
@on_a_node
async def test_gc_removes_a_stale_attachment_whose_record_cannot_be_read(
    shim: Path, tmp_path: Path, kind: type[Resource]
) -> None:
    async with serving_node(shim, tmp_path) as node:
        await node.add(node.sandbox())
        node.spoil(kind)
        assert (await gc(node)).status == 0
        assert await node.holds_nothing()


@on_a_node
async def test_gc_leaves_other_networks_other_nodes_and_a_missing_list_alone(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        ours, theirs = node.sandbox(), node.sandbox()
        await node.add(ours)
        await node.call(theirs.environment("ADD"), configuration(name="other"))
        await node.allocator.assign(AddressesWanted("n2", "k8s-pod-network.x", {"node": "n2", "pod": "x"}))
        ended = await node.call({"CNI_COMMAND": "GC", "CNI_PATH": "/"}, configuration())
        assert ended.status == 0
        assert len(await node.endpoints()) == 2
        assert (await gc(node)).status == 0
        assert [one.spec.container_id for one in await node.endpoints()] == [theirs.container]
        assert len(await node.allocator.held("k8s-pod-network.x")) == 1


@on_a_node
async def test_gc_leaves_an_endpoint_that_names_no_container_alone(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox("web-1")
        await node.add(pod)
        (written,) = await node.endpoints()
        await node.store.update(written.with_spec(container_id=None))
        assert (await gc(node, pod)).status == 0
        assert [endpoint.spec.pod for endpoint in await node.endpoints()] == ["web-1"]
        assert len(await node.host_routes()) == 1


@on_a_node
async def test_gc_goes_on_after_an_error_and_names_them_all(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pods = [node.sandbox() for _ in range(3)]
        for pod in pods:
            await node.add(pod)
        detach, bad = node.router.detach, {pods[0].container, pods[2].container}

        async def stubborn(endpoint: Any) -> None:
            if endpoint.spec.container_id in bad:
                raise RuntimeError(f"not {endpoint.spec.pod}")
            await detach(endpoint)

        monkeypatch.setattr(node.router, "detach", stubborn)
        ended = await gc(node)
        assert ended.status == 1
        assert all(f"not {pod.pod}" in ended.document["msg"] for pod in (pods[0], pods[2]))
        assert await node.assigned(pods[1]) == set()
