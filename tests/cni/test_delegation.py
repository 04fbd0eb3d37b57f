"""Debian's `host-local` gives a node's pods their addresses, through the whole of ADD, CHECK, DEL and GC."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cni.delegation import Delegation
from cni.errors import CniError
from cni.known import Known
from cni.request import CniRequest
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import IPAM
from datastore.store import Changed
from tests.cni.conftest import configuration
from tests.cni.node import NODE, NodeUnderTest, Sandbox, on_a_node, serving_node, until
from tests.cni.test_host_local import request
from tests.datastore.memory_store import MemoryStore

REFERENCE = Path("/usr/lib/cni/host-local")


@asynccontextmanager
async def node_with_pod_cidrs(shim: Path, folder: Path, *pod_cidrs: str) -> AsyncIterator[NodeUnderTest]:
    """A node to which Kubernetes gave these networks, with the plugin in its folder."""
    (folder / "plugins").mkdir()
    shutil.copy2(REFERENCE, folder / "plugins")
    async with serving_node(shim, folder) as node:
        stored = await node.store.get(Node, NODE)
        await node.store.update(stored.with_spec(pod_cidrs=pod_cidrs))
        yield node


def network(folder: Path, version: str = "1.0.0", **ipam: Any) -> dict[str, Any]:
    section = {"type": "host-local", "dataDir": str(folder / "networks"), **(ipam or {"subnet": "usePodCidr"})}
    return configuration(version, ipam=section)


def given(folder: Path) -> set[str]:
    """Return the addresses that the plugin holds for the network."""
    kept = folder / "networks" / "k8s-pod-network"
    return {path.name for path in kept.iterdir() if path.name[0].isdigit()} if kept.exists() else set()


async def added(node: NodeUnderTest, sandbox: Sandbox, configured: dict[str, Any]) -> dict[str, Any]:
    ended = await node.call(sandbox.environment("ADD"), configured)
    assert ended.status == 0, ended.stdout
    return ended.document


@on_a_node
async def test_a_pods_life_with_addresses_of_the_nodes_own_network(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24") as node:
        sandbox, configured = node.sandbox(), network(tmp_path)
        result = await added(node, sandbox, configured)
        assert [ip["address"] for ip in result["ips"]] == ["10.244.1.2/32"] and given(tmp_path) == {"10.244.1.2"}
        assert {str(prefix) for prefix in sandbox.addresses()} == {"10.244.1.2/32"} == await node.host_routes()
        [endpoint] = await node.endpoints()
        assert endpoint.spec.ip_networks == ("10.244.1.2/32",) and endpoint.annotations[IPAM] == "host-local"
        assert await added(node, sandbox, configured) == result, "an ADD that is repeated takes no second address"
        ended = await node.call(sandbox.environment("CHECK"), {**configured, "prevResult": result})
        assert ended.status == 0, ended.stdout
        for _ in range(2):
            assert (await node.call(sandbox.environment("DEL"), configured)).status == 0
        assert given(tmp_path) == set() and await node.holds_nothing()


@on_a_node
async def test_both_families_from_ranges(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24", "fd00:244:1::/64") as node:
        ranges = [[{"subnet": "usePodCidr"}], [{"subnet": "usePodCidrIPv6"}]]
        result = await added(node, node.sandbox(), network(tmp_path, ranges=ranges))
        assert [ip["address"] for ip in result["ips"]] == ["10.244.1.2/32", "fd00:244:1::2/128"]


@on_a_node
async def test_an_add_that_fails_gives_the_address_back(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24") as node:
        node.router.refuses = True
        error = await node.refused(node.sandbox().environment("ADD"), network(tmp_path))
        assert "routes are refused" in error["msg"] and given(tmp_path) == set()
        assert await node.holds_nothing()


@on_a_node
async def test_a_reservation_that_a_killed_add_left_is_no_hindrance(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24") as node:
        sandbox, configured = node.sandbox(), network(tmp_path)
        await added(node, sandbox, configured)
        [endpoint] = await node.endpoints()
        await node.router.detach(endpoint)
        await node.store.delete(endpoint)
        again = node.sandbox(sandbox.pod, sandbox.container)  # as after a power cut: nothing but the plugin's file
        await added(node, again, configured)
        assert len(given(tmp_path)) == 1


@on_a_node
async def test_errors_of_the_plugin_are_passed_on_with_its_code(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/30") as node:
        await added(node, node.sandbox(), network(tmp_path))
        full = await node.refused(node.sandbox().environment("ADD"), network(tmp_path))
        assert full["code"] == 999 or full["code"] == 11, full
        assert f"run {tmp_path}/plugins/host-local" in full["msg"] and "no IP addresses available" in full["msg"]
        wrong = await node.refused(node.sandbox().environment("ADD"), network(tmp_path, subnet="10.9.0.0/33"))
        assert "10.9.0.0/33" in wrong["msg"]


@on_a_node
async def test_what_the_runtime_no_longer_lists_is_given_back(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24") as node:
        gone, stays = node.sandbox(), node.sandbox()
        for sandbox in (gone, stays):
            await added(node, sandbox, network(tmp_path))
        listed = {"cni.dev/valid-attachments": [{"containerID": stays.container, "ifname": "eth0"}]}
        configured = network(tmp_path, "1.1.0") | listed
        assert (await node.call({"CNI_COMMAND": "GC", "CNI_PATH": "/x"}, configured)).status == 0
        assert given(tmp_path) == {"10.244.1.3"}


@on_a_node
async def test_a_del_reaches_the_plugin_while_the_datastore_is_away(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path, "10.244.1.0/24") as node:
        sandbox = node.sandbox()
        await added(node, sandbox, network(tmp_path))
        node.switch.away = True
        assert (await node.call(sandbox.environment("DEL"), network(tmp_path))).status == 0
        assert given(tmp_path) == set()


@on_a_node
async def test_a_node_without_the_plugin_or_a_network_says_what_is_missing(shim: Path, tmp_path: Path) -> None:
    async with node_with_pod_cidrs(shim, tmp_path) as node:
        none = await node.refused(node.sandbox().environment("ADD"), network(tmp_path))
        assert none["code"] == 11 and "the Node n1 has no podCIDR of IPv4" in none["msg"]
        (tmp_path / "plugins" / "host-local").unlink()
        lacking = await node.refused(node.sandbox().environment("ADD"), network(tmp_path, subnet="10.9.0.0/24"))
        assert lacking["code"] == 5 and "No such file or directory; ipam.type host-local needs" in lacking["msg"]
        left = await node.refused(node.sandbox().environment("DEL"), network(tmp_path))
        assert left["code"] == 5 and await node.holds_nothing()


@on_a_node
async def test_a_pod_from_before_goes_though_the_plugin_is_not_there(shim: Path, tmp_path: Path) -> None:
    """Its network had addresses of pools when it came; the configuration is another since."""
    async with serving_node(shim, tmp_path) as node:
        sandbox = node.sandbox()
        await node.add(sandbox)
        assert (await node.call(sandbox.environment("DEL"), network(tmp_path))).status == 0
        assert await node.holds_nothing()


@on_a_node
async def test_status_asks_no_pool(shim: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving_node(shim, tmp_path) as node:
        for pool in (await node.store.list(IPPool)).objects:
            await node.store.delete(pool)
        status = {"CNI_COMMAND": "STATUS", "CNI_PATH": "/x"}
        assert (await node.call(status, network(tmp_path, "1.1.0"))).status == 0
        assert "no enabled IPv4 pool" not in caplog.text


def asked() -> CniRequest:
    return request(ipam={"type": "host-local", "subnet": "10.9.0.0/24"})


def plugin(folder: Path, script: str) -> Delegation:
    path = folder / "host-local"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Delegation(folder, MemoryStore(Node.make(NODE)), NODE, Known(NODE), seconds=30.0)


async def test_an_address_that_another_pod_has_is_given_to_nobody(tmp_path: Path) -> None:
    script = """echo $CNI_COMMAND >> $(dirname $0)/asked; echo '{"ips": [{"address": "10.9.0.2/24"}]}'"""
    delegation, known = plugin(tmp_path, script), Known(NODE)
    delegation = Delegation(tmp_path, MemoryStore(Node.make(NODE)), NODE, known)
    other: dict[str, Any] = {"node": NODE, "pod": "old", "container_id": "c0", "ip_networks": ["10.9.0.2/32"]}
    known.observe(Changed(WorkloadEndpoint.make("n1-k8s-old-eth0", "default", **other)))
    with pytest.raises(CniError, match=r"it gave 10\.9\.0\.2, which pod default/old has; .*must outlive"):
        await delegation.add(asked(), 0)
    assert (tmp_path / "asked").read_text().split() == ["ADD", "DEL"]


async def test_a_pods_newer_container_may_get_the_address_of_its_older_one(tmp_path: Path) -> None:
    plugin(tmp_path, """echo '{"ips": [{"address": "10.9.0.2/24"}]}'""")
    known = Known(NODE)
    older: dict[str, Any] = {"node": NODE, "pod": asked().pod.name, "container_id": "c0"}
    older["ip_networks"] = ["10.9.0.2/32"]  # in the pod's status until its kubelet writes it anew
    known.observe(Changed(WorkloadEndpoint.make("n1-k8s-web-eth0", asked().pod.namespace, **older)))
    delegation = Delegation(tmp_path, MemoryStore(Node.make(NODE)), NODE, known)
    assert [str(one) for one in await delegation.add(asked(), 0)] == ["10.9.0.2"]


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path) -> None:
    plugin(tmp_path, "echo $$ > $(dirname $0)/pid; exec sleep 600")
    delegation = Delegation(tmp_path, MemoryStore(Node.make(NODE)), NODE, Known(NODE), seconds=0.5)
    with pytest.raises(CniError, match=r"no answer within 0\.5 s; try again later") as late:
        await delegation.check(asked(), 0)
    assert late.value.code == 11
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")


@pytest.mark.parametrize("said", ["", "oops", "[]", '{"code": "x"}'])
async def test_a_plugin_that_fails_without_a_word_of_cnis_is_quoted(tmp_path: Path, said: str) -> None:
    delegation = plugin(tmp_path, f"cat > /dev/null; echo '{said}'; echo panicked >&2; exit 3")
    failure = await delegation.delete(asked())
    assert failure is not None and failure.code == 5
    assert "ended with status 3" in failure.sentence and "panicked" in failure.sentence


async def test_an_add_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    delegation = plugin(tmp_path, "echo $$ > $(dirname $0)/pid; exec sleep 600")
    adding = asyncio.create_task(delegation.add(asked(), 0))
    await until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text().strip()))
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")
