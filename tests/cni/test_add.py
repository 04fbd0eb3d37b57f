"""ADD through the shim in real namespaces: made whole, repeated without effect, refused without a trace."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Coroutine, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from cni.add import log
from cni.attacher import FakeAttacher
from cni.errors import CniError
from cni.namespaces import Namespaces
from cni.network_config import ANNOTATIONS
from cni.pod_devices import FakePodDevices
from cni.pod_network import HOST_MAC
from cni.verbs import translated
from datastore.errors import Unavailable
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.names import IPAM
from datastore.record import Resource
from datastore.store import Changed, InSync, Write
from ipam.errors import NoPools
from ipam.host_context import CONTEXT_KINDS
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside
from tests.cni.conftest import configuration
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import DUAL, NODE, Sandbox, on_a_node, serving_node, take_down
from tests.datastore.memory_store import MemoryStore
from tests.datastore.test_store import events_until_in_sync, watching


class Waits:
    """Awaits a coroutine, and counts how often that waits."""

    def __init__(self, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
        self._work, self.count = work, 0

    def __await__(self) -> Generator[Any, Any, dict[str, Any]]:
        try:
            while True:
                yield self._work.send(None)
                self.count += 1
        except StopIteration as end:
            return cast(dict[str, Any], end.value)


async def follow(node: InMemory) -> None:
    """Have a node's watch report all there is by now."""
    async with watching(node.store, *CONTEXT_KINDS, ClusterInformation, WorkloadEndpoint) as watch:
        for event in (*await events_until_in_sync(watch), InSync()):
            node.allocator.on_event(event)
            node.known.observe(event)


# Over fakes


async def test_an_add_leaves_a_device_routes_a_record_and_an_address_that_agree(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        result = await node.add(**DUAL)
        four, six = (ip["address"] for ip in result["ips"])
        [(name, (index, network))] = node.devices.made.items()
        endpoint, device = node.attacher.attached["n1-k8s-web--1-eth0"]
        assert (name, device, network.mtu) == (endpoint.spec.interface_name, index, 1440)
        assert endpoint.spec.ip_networks == (four, six) == tuple(map(str, network.prefixes))
        assert [one.spec.container_id for one in await node.endpoints()] == ["c1"]
        assert sorted(await node.addresses()) == sorted(str(address) for address in network.addresses)


async def test_an_add_repeated_changes_nothing(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        first = await node.add()
        assert await node.add() == first
        assert len(await node.addresses()) == 1
        with pytest.raises(CniError, match="not as it was made: cali0761ccbeace differs") as refused:
            await node.add(mtu=1300)
        assert refused.value.code == 100


async def test_what_the_datastore_says_of_a_pod_is_obeyed_as_what_the_runtime_passes_on(tmp_path: Path) -> None:
    """On Kubernetes a pod is there before it is attached, with its annotations."""
    annotations = {
        "cni.projectcalico.org/ipAddrs": '["10.65.7.7"]',
        "cni.projectcalico.org/hwAddr": "02:00:00:00:00:07",
    }
    name = "n1-k8s-web--1-eth0"
    async with in_memory(tmp_path) as node:
        await node.store.create(WorkloadEndpoint.make(name, "default", annotations=annotations, node=NODE, pod="web-1"))
        result = await node.add()
        assert [one["address"] for one in result["ips"]] == ["10.65.7.7/32"]
        [(_, network)] = node.devices.made.values()
        assert network.mac == bytes.fromhex("020000000007")
        assert dict(node.observed[0].annotations) == annotations
        [endpoint] = await node.endpoints()
        assert endpoint.spec.container_id == "c1"


async def test_what_the_runtime_passed_on_is_not_looked_at_again(tmp_path: Path) -> None:
    """Else each notice of a pod is in the log twice."""
    annotations = {"cni.projectcalico.org/IPV4pools": '["pods"]'}
    name = "n1-k8s-web--1-eth0"
    async with in_memory(tmp_path) as node:
        await node.store.create(WorkloadEndpoint.make(name, "default", annotations=annotations, node=NODE, pod="web-1"))
        await node.add(runtimeConfig={ANNOTATIONS: annotations})
        assert not node.observed


async def test_what_the_datastore_says_of_a_pod_is_refused_where_it_cannot_be_obeyed(tmp_path: Path) -> None:
    annotations = {"cni.projectcalico.org/floatingIPs": '["192.0.2.9"]'}
    async with in_memory(tmp_path) as node:
        waiting = WorkloadEndpoint.make(
            "n1-k8s-web--1-eth0", "default", annotations=annotations, node=NODE, pod="web-1"
        )
        await node.store.create(waiting)
        with pytest.raises(CniError, match="floatingIPs") as refused:
            await node.add()
        assert refused.value.code == 7
        assert await node.addresses() == []


async def test_a_pod_gets_addresses_past_ipam_where_its_network_allows_it(tmp_path: Path) -> None:
    """Nothing is assigned, its record says so, CHECK and DEL take it so, and no second pod of the node gets them."""
    asked = {ANNOTATIONS: {"cni.projectcalico.org/ipAddrsNoIpam": '["10.65.7.7"]'}}
    allowed: dict[str, Any] = {"runtimeConfig": asked, "feature_control": {"ip_addrs_no_ipam": True}}
    async with in_memory(tmp_path) as node:
        with pytest.raises(CniError, match="does not allow addresses without IPAM") as refused:
            await node.add(runtimeConfig=asked)
        assert refused.value.code == 7
        result = await node.add(**allowed)
        assert [ip["address"] for ip in result["ips"]] == ["10.65.7.7/32"]
        assert await node.addresses() == []
        [endpoint] = await node.endpoints()
        assert endpoint.annotations[IPAM] == "ipAddrsNoIpam"
        assert await node.add(**allowed) == result
        await node.check(result, **allowed)
        node.known.observe(Changed(endpoint))
        with pytest.raises(CniError, match=r"10\.65\.7\.7, which pod default/web-1 has") as refused:
            await node.add("c2", "web-2", **allowed)
        assert refused.value.code == 7
        assert len(node.devices.made) == 1
        await node.delete()
        assert await node.holds_nothing()


async def test_the_namespace_of_a_pod_chooses_pools_by_its_labels_and_annotations(tmp_path: Path) -> None:
    """Labels for namespaceSelectors; an annotation before the network, after the pod's own, and past selectors."""
    store = MemoryStore(
        IPPool.make("a-reds", cidr="10.1.0.0/24", allowed_uses=["Workload"], namespace_selector="colour == 'red'"),
        IPPool.make("asked", cidr="10.2.0.0/24", assignment_mode="Manual"),
        IPPool.make("network", cidr="10.3.0.0/24", assignment_mode="Manual"),
    )
    pools = "cni.projectcalico.org/ipv4pools"
    async with in_memory(tmp_path, store, Namespaces(store)) as node:

        async def pool_of_a_pod(**network: Any) -> str:
            [ip] = (await node.add(**network))["ips"]
            await node.delete()
            return str(ip["address"]).rpartition(".")[0]

        async def annotate(**metadata: dict[str, str]) -> None:
            there = await store.get(Namespace, "default")
            await store.update(there.with_metadata(**metadata))

        of_network = {"ipam": {"ipv4_pools": ["network"]}}
        assert (await pool_of_a_pod()).startswith("10.65.")
        await store.create(Namespace.make("default", labels={"colour": "blue"}))
        assert (await pool_of_a_pod()).startswith("10.65.")
        await annotate(labels={"colour": "red"})
        await store.update((await store.get(IPPool, "four")).with_spec(disabled=True))
        assert await pool_of_a_pod() == "10.1.0"
        assert await pool_of_a_pod(**of_network) == "10.3.0"
        await annotate(annotations={pools: '["asked"]'})
        assert await pool_of_a_pod(**of_network) == "10.2.0"
        assert await pool_of_a_pod(runtimeConfig={ANNOTATIONS: {pools: '["a-reds"]'}}) == "10.1.0"
        await annotate(annotations={pools: "asked"})
        with pytest.raises(CniError, match="ipv4pools of Namespace default 'asked' is not a JSON list") as refused:
            await node.add()
        assert refused.value.code == 7
        assert await node.addresses() == []


@pytest.mark.parametrize("kind", [WorkloadEndpoint, IPAMHandle, IPAMBlock])
async def test_a_pod_starts_whatever_of_its_old_records_cannot_be_read(tmp_path: Path, kind: type[Resource]) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add()
        node.devices.made.clear()  # as after a power cut
        [record] = (await store.list(kind)).objects
        store.spoil(record)
        result = await node.add()
        assert [one.spec.container_id for one in await node.endpoints()] == ["c1"]
        assert await node.addresses() == [ip["address"].removesuffix("/32") for ip in result["ips"]]
        if kind is not IPAMBlock:
            await node.delete()
            assert store.unreadable == ()
            assert await node.holds_nothing()


async def test_a_node_that_cannot_be_read_is_code_11_and_leaves_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        store.spoil(await store.get(Node, NODE))
        with pytest.raises(CniError, match="Node") as refused, translated("ADD", ""):
            await node.add()
        assert refused.value.code == 11
        assert await node.holds_nothing()


async def test_a_newer_container_takes_the_pods_name_over_from_one_whose_del_is_late(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await node.add("old")
        await node.add("new")
        assert [one.spec.container_id for one in await node.endpoints()] == ["new"]
        assert [network.attachment.container_id for _, network in node.devices.made.values()] == ["new"]
        await node.delete("old")
        assert len(await node.addresses()) == 1
        await node.delete("new")
        assert await node.holds_nothing()


async def test_an_add_is_logged_with_pod_addresses_and_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", log.name):
        async with in_memory(tmp_path) as node:
            await node.add()
            [address] = await node.addresses()
    assert f"ADD default/web-1 (container c1, eth0): {address} on cali0761ccbeace" in caplog.messages


@pytest.mark.parametrize("failing", ["devices", "attacher"])
async def test_a_step_that_fails_undoes_those_before_it(tmp_path: Path, failing: str) -> None:
    async with in_memory(tmp_path) as node:
        edge: FakePodDevices | FakeAttacher = node.devices if failing == "devices" else node.attacher
        edge.failure = KernelError("refused by the test", errno.EPERM)
        with pytest.raises((KernelError, CniError), match="refused by the test"):
            await node.add()
        assert await node.holds_nothing()
        edge.failure = None
        await node.add()


@pytest.mark.parametrize("calls", range(1, 14))
async def test_a_datastore_that_goes_away_in_the_middle_costs_nothing(tmp_path: Path, calls: int) -> None:
    async with in_memory(tmp_path) as node:
        node.switch.calls_left = calls
        try:
            await node.add()
        except Unavailable:
            assert (node.attacher.attached, node.devices.made) == ({}, {})
        finally:
            node.switch.calls_left, node.switch.away = None, False
        await node.delete()
        await node.cleanup.release_journaled("c1")
        assert node.journal.pending == ()
        assert await node.holds_nothing()


async def test_an_add_is_one_transaction_and_its_del_is_one(tmp_path: Path) -> None:
    store = MemoryStore()
    async with in_memory(tmp_path, store) as node:
        await node.add("first", "web-0")  # claims a block
        store.transactions.clear()
        store.calls.clear()
        await node.add()
        assert store.transactions == [["Create IPAMHandle", "Create WorkloadEndpoint", "Update IPAMBlock"]]
        store.transactions.clear()
        await node.delete()
        assert store.transactions == [["Delete IPAMHandle", "Delete WorkloadEndpoint", "Update IPAMBlock"]]
        assert store.calls["get IPAMHandle"] == store.calls["get IPAMBlock"] == 0


async def test_an_add_that_is_alone_waits_once_for_what_it_writes(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await follow(node)
        await node.add("first", "web-0")  # claims a block
        await follow(node)
        add = Waits(node.add())
        assert (await add)["ips"]
        assert add.count == 1


async def test_an_add_repeated_before_the_watch_has_reported_the_first_changes_nothing(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await follow(node)
        first, [endpoint] = await node.add(), await node.endpoints()
        assert await node.add() == first
        assert (await node.endpoints(), len(await node.addresses())) == ([endpoint], 1)
        await follow(node)
        assert await node.add() == first


async def test_an_add_repeated_then_changes_nothing_where_no_pool_gives_addresses_any_more(tmp_path: Path) -> None:
    async with in_memory(tmp_path) as node:
        await follow(node)
        first, [endpoint] = await node.add(), await node.endpoints()
        for pool in (await node.store.list(IPPool)).objects:
            node.allocator.on_event(Changed(await node.store.update(pool.with_spec(disabled=True))))
        assert await node.add() == first
        assert (await node.endpoints(), len(await node.addresses())) == ([endpoint], 1)
        with pytest.raises(NoPools):
            await node.add("c2", "another")
        assert await node.endpoints() == [endpoint]


async def test_an_add_repeated_before_the_watch_has_reported_the_first_undoes_nothing_of_it(tmp_path: Path) -> None:
    """Its transaction, which would show that there is an endpoint, is not tried while the datastore is away."""
    async with in_memory(tmp_path) as node:
        await follow(node)
        await node.add("first", "web-0")  # claims a block
        await follow(node)
        first = await node.add()
        before = await node.endpoints(), await node.addresses()
        node.switch.away = True
        with pytest.raises(Unavailable):
            await node.add()
        node.switch.away = False
        assert (await node.endpoints(), await node.addresses(), node.journal.pending) == (*before, ())
        assert await node.add() == first


@pytest.mark.parametrize("network", [{}, DUAL])
async def test_an_add_that_was_killed_before_it_had_a_device_is_found_by_the_next_verb(
    tmp_path: Path, network: dict[str, Any]
) -> None:
    """Its record and its addresses are there together."""
    async with in_memory(tmp_path) as killed:
        first = await killed.add(**network)
        begun_anew = InMemory(killed.store, tmp_path)  # without its device and route
        assert [one["address"] for one in (await begun_anew.add(**network))["ips"]] == [
            one["address"] for one in first["ips"]
        ]
        await begun_anew.delete()
        assert await begun_anew.holds_nothing()
        await killed.add("c2", **network)
        begun_anew = InMemory(killed.store, tmp_path)
        await begun_anew.delete("c2")
        assert await begun_anew.holds_nothing()


async def test_an_endpoint_that_comes_while_addresses_are_chosen_is_the_older_containers(tmp_path: Path) -> None:
    class Overtaken(MemoryStore):
        """Another writes the pod's endpoint just before this one does."""

        overtaken = False

        async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
            for write in writes:
                if isinstance(write.resource, WorkloadEndpoint) and not self.overtaken:
                    self.overtaken = True
                    await self.create(write.resource.with_spec(container_id="older", ip_networks=()))
            return await super().write(*writes)

    async with in_memory(tmp_path, Overtaken()) as node:
        [address] = (await node.add())["ips"]
        [endpoint] = await node.endpoints()
        assert (endpoint.spec.container_id, endpoint.spec.ip_networks) == ("c1", (address["address"],))
        assert len(await node.addresses()) == 1
        await node.delete()
        assert await node.holds_nothing()


# In real namespaces


@on_a_node
async def test_a_pod_is_attached_and_taken_away_again(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox("web-1")
        result = await node.add(pod)
        address = result["ips"][0]["address"]
        assert result["interfaces"][0]["name"] == "cali0761ccbeace"  # as Calico calls the device of default/web-1
        assert {str(one) for one in pod.addresses()} == {address}
        assert await node.host_routes() == {address}
        assert await node.assigned(pod) == {address.removesuffix("/32")}
        endpoint = (await node.endpoints())[0]
        assert endpoint.spec.container_id == pod.container
        end = pod.device()
        assert end and endpoint.spec.mac == result["interfaces"][1]["mac"] == end.mac.hex(":")
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_the_mtu_is_the_networks_else_the_nodes(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        node.pod_mtu = 1430
        by_node, by_network = await node.add(node.sandbox()), await node.add(node.sandbox(), mtu=1300)
        assert [result["interfaces"][1]["mtu"] for result in (by_node, by_network)] == [1430, 1300]


@on_a_node
async def test_a_mac_that_is_asked_for_is_given(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod, runtimeConfig={ANNOTATIONS: {"cni.projectcalico.org/hwAddr": "1c:0c:0a:c0:ff:ee"}})
        end = pod.device()
        assert end and end.mac.hex(":") == "1c:0c:0a:c0:ff:ee"


@on_a_node
async def test_pools_and_addresses_are_taken_as_the_pod_asks(shim: Path, tmp_path: Path) -> None:
    pools = IPPool.make("one", cidr="10.1.0.0/24"), IPPool.make("two", cidr="10.2.0.0/24")
    async with serving_node(shim, tmp_path, *pools) as node:
        by_name = await node.add(
            node.sandbox(), runtimeConfig={ANNOTATIONS: {"cni.projectcalico.org/ipv4pools": '["two"]'}}
        )
        by_cidr = await node.add(node.sandbox(), ipam={"ipv4_pools": ["10.2.0.0/24"]})
        exactly = await node.add(node.sandbox(), args={"cni": {"ips": ["10.1.0.77"]}})
        assert by_name["ips"][0]["address"].startswith("10.2.0.")
        assert by_cidr["ips"][0]["address"].startswith("10.2.0.")
        assert exactly["ips"][0]["address"] == "10.1.0.77/32"


@on_a_node
async def test_what_a_plugin_before_us_made_is_passed_on(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "lo", "sandbox": "/x"}], "ips": [], "future": [1]}
        result = await node.add(node.sandbox(), prevResult=previous)
        assert result["future"] == [1]
        assert result["interfaces"][0]["name"] == "lo"
        assert result["ips"][0]["interface"] == 2


@on_a_node
async def test_an_add_repeated_gives_the_same_result_and_no_second_address(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        first = await node.add(pod, **DUAL)
        assert await node.add(pod, **DUAL) == first
        assert len(await node.assigned(pod)) == 2


@on_a_node
async def test_an_add_repeated_on_something_broken_leaves_it_as_it_is(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        before = await node.assigned(pod), await node.endpoints()
        with inside(pod.netns):
            take_down("eth0")
        error = await node.refused(pod.environment("ADD"))
        assert error["code"] == 100
        assert "eth0 is down in the container" in error["msg"]
        assert (await node.assigned(pod), await node.endpoints()) == before


def routes_of(pod: Sandbox) -> list[str]:
    with inside(pod.netns):
        return subprocess.check_output(["ip", "-4", "route"], text=True).splitlines()


@on_a_node
async def test_a_second_network_of_a_running_container_comes_and_goes_beside_the_first(
    shim: Path, tmp_path: Path
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        first = await node.add(pod)
        before = routes_of(pod)
        for name, device in (("net-b", "net1"), ("k8s-pod-network", "net2")):
            second = await node.call(pod.environment("ADD", CNI_IFNAME=device), configuration(name=name))
            assert second.status == 0, second.stdout
            address = second.document["ips"][0]["address"]
            assert await node.host_routes() == {address, first["ips"][0]["address"]}
            assert set(before) < set(routes_of(pod))
            assert {str(one) for one in pod.addresses(device)} == {address}
            for _ in range(2):
                ended = await node.call(pod.environment("DEL", CNI_IFNAME=device), configuration(name=name))
                assert ended.status == 0, ended.stdout
            await node.verbs.cleanup.delete_retired()
            assert await node.host_routes() == {first["ips"][0]["address"]}
            assert routes_of(pod) == before
            assert await node.add(pod) == first
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_the_device_of_a_running_container_is_not_given_to_another_network(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        first = await node.add(pod)
        error = await node.refused(pod.environment("ADD"), configuration(name="net-b"))
        assert (error["code"], "eth0 leads to network k8s-pod-network" in error["msg"]) == (100, True)
        assert (await node.call(pod.environment("DEL"), configuration(name="net-b"))).status == 0
        assert await node.add(pod) == first


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("network", ["k8s-pod-network", "renamed"])
@on_a_node
async def test_a_container_that_returns_in_a_new_namespace_is_made_anew_with_its_address(
    shim: Path, tmp_path: Path, held: bool, network: str
) -> None:
    """As after a power cut: the runtime kept the id, the namespace is new, and no DEL came between."""
    async with serving_node(shim, tmp_path) as node:
        old = node.sandbox()
        first = await node.add(old)
        new = node.sandbox(old.pod, old.container)
        if not held:
            with closing(Devices()) as devices:
                link = devices.link(first["interfaces"][0]["name"])
                assert link
                devices.delete(link.index)
        ended = await node.call(new.environment("ADD"), configuration(name=network))
        assert ended.status == 0, ended.stdout
        if network == "k8s-pod-network":
            assert ended.document["ips"] == first["ips"]
        assert {str(one) for one in new.addresses()} == {ended.document["ips"][0]["address"]}
        assert await node.host_routes() == {ended.document["ips"][0]["address"]}
        assert (await node.call(new.environment("DEL"), configuration(name=network))).status == 0
        assert await node.holds_nothing()


@on_a_node
async def test_an_add_that_was_killed_before_its_endpoint_is_begun_anew(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.store.delete((await node.endpoints())[0])  # as if it had never come so far
        address = (await node.add(pod))["ips"][0]["address"]
        assert await node.assigned(pod) == {address.removesuffix("/32")}
        assert {str(one) for one in pod.addresses()} == {address}
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_a_pod_whose_name_returns_is_attached_at_once(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        old, new = node.sandbox("db-0"), node.sandbox("db-0")
        await node.add(old)
        await node.delete(old)
        assert (await node.add(new))["interfaces"][0]["name"] in node.devices()
        await node.delete(new)
        assert await node.holds_nothing()


def occupied(pod: Sandbox) -> None:
    with inside(pod.netns), closing(Devices()) as devices:
        devices.create_veth("eth0", pod.netns, "other", HOST_MAC)


REFUSALS: list[tuple[str, dict[str, str], Any, int, str]] = [
    ("bad JSON", {}, b"{", 6, "not JSON"),
    ("unknown version", {}, configuration("1.2.0"), 1, "1.2.0"),
    ("no network name", {}, {"cniVersion": "1.0.0"}, 7, "'name'"),
    ("no namespace named", {"CNI_NETNS": ""}, configuration(), 4, "CNI_NETNS"),
    ("no such namespace", {"CNI_NETNS": "/run/netns/gone"}, configuration(), 8, "No such file or directory"),
    ("no namespace but a file", {"CNI_NETNS": "/etc/passwd"}, configuration(), 8, "is not a namespace"),
    ("another kind of namespace", {"CNI_NETNS": "/proc/self/ns/uts"}, configuration(), 8, "not of networks"),
    ("the node's own namespace", {"CNI_NETNS": "/proc/self/ns/net"}, configuration(), 8, "node's own"),
    ("a pool that is not there", {}, configuration(ipam={"ipv4_pools": ["none"]}), 7, "none"),
    ("a pool of the other family", {}, configuration(ipam={"ipv4_pools": ["six"]}), 7, "six"),
    ("an address in no pool", {}, configuration(runtimeConfig={"ips": ["172.16.0.1"]}), 7, "172.16.0.1"),
    ("an MTU too small for IPv6", {}, configuration(mtu=1000, **DUAL), 7, "1280"),
]


@pytest.mark.parametrize(
    ("change", "network", "code", "named"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS]
)
@on_a_node
async def test_an_add_is_refused_with_a_reason_and_leaves_nothing(
    shim: Path, tmp_path: Path, change: dict[str, str], network: Any, code: int, named: str
) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        error = await node.refused(pod.environment("ADD") | change, network)
        assert error["code"] == code
        assert named in error["msg"]
        assert await node.holds_nothing()
        assert pod.device() is None


@on_a_node
async def test_a_pool_without_a_free_address_is_code_101(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path, IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)) as node:
        for _ in range(4):
            await node.add(node.sandbox())
        routes = await node.host_routes()
        pod = node.sandbox()
        error = await node.refused(pod.environment("ADD"))
        assert error["code"] == 101
        assert "tiny" in error["msg"]
        assert (await node.host_routes(), await node.assigned(pod), pod.device()) == (routes, set(), None)


@on_a_node
async def test_without_a_pool_of_a_family_the_other_gets_none_either(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path, IPPool.make("four", cidr="10.65.0.0/16")) as node:
        error = await node.refused(node.sandbox().environment("ADD"), configuration(**DUAL))
        assert error["code"] == 7
        assert "IPv6" in error["msg"]
        assert await node.holds_nothing()


@on_a_node
async def test_a_device_that_is_in_the_container_already_is_left_alone(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        occupied(pod)
        before = pod.device()
        error = await node.refused(pod.environment("ADD"))
        assert error["code"] == 103
        assert "eth0 exists in the container already" in error["msg"]
        assert await node.holds_nothing()
        assert pod.device() == before


@on_a_node
async def test_a_route_that_the_agent_cannot_write_undoes_the_rest(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        node.router.refuses = True
        error = await node.refused(pod.environment("ADD"))
        assert (error["code"], "the routes are refused" in error["msg"]) == (103, True)
        assert await node.holds_nothing()
        node.router.refuses = False
        await node.add(pod)


@on_a_node
async def test_a_datastore_that_is_held_or_away_is_code_11(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
        pod = node.sandbox()
        cluster = await node.store.get(ClusterInformation, "default")
        cluster = await node.store.update(cluster.with_spec(datastore_ready=False))
        held = await node.refused(pod.environment("ADD"))
        await node.store.delete(cluster)
        unset = await node.refused(pod.environment("ADD"))
        node.switch.away = True
        away = await node.refused(pod.environment("ADD"))
        assert [error["code"] for error in (held, unset, away)] == [11, 11, 11]
        assert "datastoreReady false" in held["msg"]
        assert await node.holds_nothing()
