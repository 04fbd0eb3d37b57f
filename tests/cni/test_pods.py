"""The shim attaches pods in real namespaces; see node.py for the drawing."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cni.journal import Journal
from cni.pod_network import HOST_MAC
from cni.protocol import ANNOTATIONS
from cni.server import CniServer
from datastore.errors import Invalid
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.pools import IPPool
from ipam.allocator import AddressesWanted
from kernel.links import Devices
from kernel.netns import inside
from kernel.sysctl import read_sysctls, write_sysctls
from net.prefix import Prefix
from tests.cni.conftest import configuration, open_namespaces
from tests.cni.node import NODE, Sandbox, World, on_a_node, until, world

DUAL: dict[str, Any] = {"ipam": {"assign_ipv4": True, "assign_ipv6": True}}
NODE_ADDRESSES = (Prefix.parse("192.0.2.1/32"), Prefix.parse("2001:db8::1/128"))


async def ping(source: Sandbox, address: str) -> bool:
    ping = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={source.path}", "ping", "-n", "-q", "-c", "1", "-W", "5", address,
        stdout=asyncio.subprocess.DEVNULL,
        pass_fds=(source.netns,),
    )  # fmt: skip
    return await ping.wait() == 0


def take_down(name: str) -> None:
    subprocess.run(["ip", "link", "set", name, "down"], check=True)


@on_a_node
async def test_a_pod_is_attached_and_taken_away_again(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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
async def test_a_pod_reaches_its_node_and_its_neighbour_in_both_families(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        with closing(Devices()) as devices:
            for prefix in NODE_ADDRESSES:
                devices.add_address(1, prefix.packed, prefix.length)
        write_sysctls({"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"})
        one, other = node.sandbox(), node.sandbox()
        await node.add(one, **DUAL)
        others = [ip["address"].partition("/")[0] for ip in (await node.add(other, **DUAL))["ips"]]
        assert len(others) == 2
        for address in ["192.0.2.1", "2001:db8::1", *others]:
            assert await ping(one, address), address


@on_a_node
async def test_the_devices_are_as_calico_makes_them(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        write_sysctls({"net/ipv4/ip_forward": "1"})
        pod = node.sandbox("web-1")
        await node.add(pod, mtu=1400)
        with closing(Devices()) as devices:
            host = devices.link("cali0761ccbeace")
        assert host and (host.mac, host.mtu, host.up) == (HOST_MAC, 1400, True)
        recorded = Path(__file__).parents[1] / "fixtures" / "calico" / "kernel" / "after-add.txt"
        theirs = dict(line.split(" = ") for line in recorded.read_text().splitlines() if line.startswith("net/"))
        ours = ("route_localnet", "proxy_arp", "forwarding", "proxy_delay", "accept_dad", "proxy_ndp")
        wanted = {path: value for path, value in theirs.items() if path.endswith(ours)}
        assert read_sysctls(wanted) == wanted
        with inside(pod.netns), closing(Devices()) as devices:
            assert read_sysctls(["net/ipv4/ip_forward"]) == {"net/ipv4/ip_forward": "0"}
            assert {str(prefix) for prefix, path in devices.routes() if path.protocol == 3} == {
                "0.0.0.0/0",
                "169.254.1.1/32",
            }


@on_a_node
async def test_the_mtu_is_the_networks_else_the_nodes(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        node.pod_mtu = 1430
        by_node, by_network = await node.add(node.sandbox()), await node.add(node.sandbox(), mtu=1300)
        assert [result["interfaces"][1]["mtu"] for result in (by_node, by_network)] == [1430, 1300]


@on_a_node
async def test_a_mac_that_is_asked_for_is_given(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod, runtimeConfig={ANNOTATIONS: {"cni.projectcalico.org/hwAddr": "1c:0c:0a:c0:ff:ee"}})
        end = pod.device()
        assert end and end.mac.hex(":") == "1c:0c:0a:c0:ff:ee"


@on_a_node
async def test_pools_and_addresses_are_taken_as_the_pod_wishes(shim: Path, tmp_path: Path) -> None:
    pools = IPPool.make("one", cidr="10.1.0.0/24"), IPPool.make("two", cidr="10.2.0.0/24")
    async with world(shim, tmp_path, *pools) as node:
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
    async with world(shim, tmp_path) as node:
        previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "lo", "sandbox": "/x"}], "ips": [], "future": [1]}
        result = await node.add(node.sandbox(), prevResult=previous)
        assert result["future"] == [1]
        assert result["interfaces"][0]["name"] == "lo"
        assert result["ips"][0]["interface"] == 2


# ADD again


@on_a_node
async def test_an_add_repeated_gives_the_same_result_and_no_second_address(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        first = await node.add(pod, **DUAL)
        assert await node.add(pod, **DUAL) == first
        assert len(await node.assigned(pod)) == 2


@on_a_node
async def test_an_add_repeated_on_something_broken_leaves_it_as_it_is(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        before = await node.assigned(pod), await node.endpoints()
        with inside(pod.netns):
            take_down("eth0")
        error = await node.refused(pod.environment("ADD"))
        assert error["code"] == 100
        assert "eth0 is down in the container" in error["msg"]
        assert (await node.assigned(pod), await node.endpoints()) == before


@on_a_node
async def test_an_add_that_was_killed_before_its_endpoint_is_begun_anew(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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
    async with world(shim, tmp_path) as node:
        old, new = node.sandbox("db-0"), node.sandbox("db-0")
        await node.add(old)
        await node.delete(old)
        assert (await node.add(new))["interfaces"][0]["name"] in node.devices()
        await node.delete(new)
        assert await node.holds_nothing()


@on_a_node
async def test_a_late_del_of_the_old_sandbox_does_not_touch_the_new_one(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        old, new = node.sandbox("db-0"), node.sandbox("db-0")
        await node.add(old)
        result = await node.add(new)
        await node.delete(old)
        assert await node.assigned(old) == set()
        assert await node.host_routes() == {result["ips"][0]["address"]}
        assert [one.spec.container_id for one in await node.endpoints()] == [new.container]
        assert await node.add(new) == result


# DEL


@on_a_node
async def test_a_del_may_come_at_any_time_and_any_number_of_times(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.delete(pod)
        await node.add(pod)
        for netns in ("/run/netns/gone", "", pod.path):
            await node.delete(pod, CNI_NETNS=netns)
        assert await node.holds_nothing()


@on_a_node
async def test_a_del_for_a_device_we_did_not_make_touches_nothing(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        result = await node.add(pod)
        await node.delete(pod, CNI_IFNAME="net1")
        assert await node.add(pod) == result


@on_a_node
async def test_a_del_knows_its_device_without_the_pods_name(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        await node.delete(pod, CNI_ARGS="")
        await node.verbs.cleanup.delete_retired()
        assert node.devices() == set()
        assert await node.assigned(pod) == set()


@on_a_node
async def test_a_del_releases_the_handle_of_old_releases_too(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox("old-1")
        await node.allocator.assign(AddressesWanted(NODE, "default.old-1"))
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_a_del_without_a_datastore_succeeds_and_is_carried_out_later(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod, other = node.sandbox(), node.sandbox()
        await node.add(pod)
        await node.add(other)
        node.switch.away = True
        await node.delete(pod)
        await node.delete(pod)
        assert len(node.journal.pending) == 1
        assert node.verbs.pending_handles() == {f"k8s-pod-network.{pod.container}"}
        assert len(await node.host_routes()) == 1
        assert await node.assigned(pod)
        tidying = asyncio.create_task(node.tidy())
        node.switch.away = False
        await tidying
        await node.delete(other)
        assert await node.holds_nothing()


@on_a_node
async def test_a_noted_del_outlives_the_agent(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        node.switch.away = True
        await node.delete(pod)
    async with world(shim, tmp_path, url=f"sqlite://{tmp_path}/cluster.db") as node:
        assert len(node.journal.pending) == 1
        await node.tidy()
        assert Journal(tmp_path / "owed.journal").pending == ()
        assert await node.holds_nothing()


@on_a_node
async def test_a_container_that_returns_after_a_noted_del_is_released_first(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        node.switch.away = True
        await node.delete(pod)
        node.switch.away = False
        result = await node.add(pod)
        assert node.journal.pending == ()
        assert await node.assigned(pod) == {result["ips"][0]["address"].removesuffix("/32")}


@on_a_node
async def test_a_noted_del_never_takes_the_address_of_the_container_that_returned(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        node.switch.away = True
        await node.delete(pod)
        node.switch.away = False
        release = node.serving.release_handle
        begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slowly(handle: str) -> Any:
            if begun.is_set():
                return await release(handle)
            begun.set()
            await go_on.wait()
            released = await release(handle)
            ended.set()
            return released

        monkeypatch.setattr(node.serving, "release_handle", slowly)
        tidying = asyncio.create_task(node.verbs.cleanup.run())
        await begun.wait()
        adding = asyncio.create_task(node.add(pod))
        await asyncio.wait([adding], timeout=0.3)  # it would be done by then if it did not wait its turn
        go_on.set()
        result, _ = await asyncio.gather(adding, ended.wait())
        tidying.cancel()
        assert await node.assigned(pod) == {result["ips"][0]["address"].removesuffix("/32")}


@on_a_node
async def test_a_journal_that_cannot_be_written_delays_what_is_noted_and_ends_nothing(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(shim, tmp_path) as node:
        pod, other = node.sandbox(), node.sandbox()
        await node.add(pod)
        await node.add(other)
        node.switch.away = True
        await node.delete(pod)
        await node.delete(other)
        node.switch.away = False
        tried = asyncio.Event()

        def full(done: object) -> None:
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(node.journal, "remove", full)
            error = await node.refused(pod.environment("ADD"))
            assert (error["code"], "No space left on device" in error["msg"]) == (11, True)
            tried.clear()
            tidying = asyncio.create_task(node.verbs.cleanup.run())
            await tried.wait()
            assert not tidying.done()
        await until(lambda: not node.journal.pending)
        tidying.cancel()
        assert await node.holds_nothing()


@on_a_node
async def test_a_noted_del_that_cannot_be_carried_out_holds_up_no_other(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(shim, tmp_path) as node:
        stuck, pod = node.sandbox(), node.sandbox()
        for one in (stuck, pod):
            await node.add(one)
        node.switch.away = True
        for one in (stuck, pod):
            await node.delete(one)
        node.switch.away = False
        release = node.serving.release_handle

        async def refuse(handle: str) -> Any:
            if handle.endswith(stuck.container):
                raise Invalid("release: its block is not readable")
            return await release(handle)

        monkeypatch.setattr(node.serving, "release_handle", refuse)
        tidying = asyncio.create_task(node.verbs.cleanup.run())
        await until(lambda: len(node.journal.pending) == 1)
        tidying.cancel()
        assert node.journal.pending_of(stuck.container)
        assert not await node.assigned(pod)


@on_a_node
async def test_a_container_is_attached_by_one_device_only(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        error = await node.refused(pod.environment("ADD", CNI_IFNAME="net1"))
        assert (error["code"], "leads to eth0 of container" in error["msg"]) == (100, True)
        assert len(await node.assigned(pod)) == 1


@on_a_node
async def test_a_del_that_can_neither_release_nor_note_says_so(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Journal, owed: object) -> None:
        raise OSError(28, "No space left on device")

    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        monkeypatch.setattr(Journal, "add", full)
        node.switch.away = True
        error = await node.refused(pod.environment("DEL"))
        assert error["code"] == 11
        assert "No space left" in error["msg"]
        node.switch.away = False
        await node.delete(pod)
        assert await node.holds_nothing()


# ADD refused: a clear sentence, the right code, nothing half done


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
async def test_an_add_is_refused_in_a_sentence_and_leaves_nothing(
    shim: Path, tmp_path: Path, change: dict[str, str], network: Any, code: int, named: str
) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        error = await node.refused(pod.environment("ADD") | change, network)
        assert error["code"] == code
        assert named in error["msg"]
        assert await node.holds_nothing()
        assert pod.device() is None


@on_a_node
async def test_a_pool_without_a_free_address_is_code_101(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path, IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)) as node:
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
    async with world(shim, tmp_path, IPPool.make("four", cidr="10.65.0.0/16")) as node:
        error = await node.refused(node.sandbox().environment("ADD"), configuration(**DUAL))
        assert error["code"] == 7
        assert "IPv6" in error["msg"]
        assert await node.holds_nothing()


@on_a_node
async def test_a_device_that_is_in_the_container_already_is_left_alone(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        node.router.refuses = True
        error = await node.refused(pod.environment("ADD"))
        assert (error["code"], "no route today" in error["msg"]) == (103, True)
        assert await node.holds_nothing()
        node.router.refuses = False
        await node.add(pod)


@on_a_node
async def test_a_datastore_that_is_held_or_away_is_code_11(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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


@pytest.mark.parametrize("calls", range(1, 14))
@on_a_node
async def test_a_datastore_that_goes_away_in_the_middle_costs_nothing(shim: Path, tmp_path: Path, calls: int) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        node.switch.calls_left = calls
        ended = await node.call(pod.environment("ADD"))
        node.switch.calls_left, node.switch.away = None, False
        if ended.status == 0:
            await node.delete(pod)
        else:
            assert ended.code == 11
            assert await node.host_routes() == set()
        await node.tidy()
        assert await node.holds_nothing()


# Many at once, and runtimes that go away


@on_a_node
async def test_thirty_at_once_get_thirty_addresses(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        await node.add(node.sandbox())
        before = open_namespaces()
        pods = [node.sandbox() for _ in range(30)]
        results = await asyncio.gather(*map(node.add, pods))
        assert len({result["ips"][0]["address"] for result in results}) == 30
        assert len(await node.host_routes()) == 31
        await asyncio.gather(*map(node.delete, pods))
        assert len(await node.host_routes()) == 1
        assert open_namespaces() == before + 30  # those that this test holds, and no other


@on_a_node
async def test_one_container_is_served_one_call_at_a_time(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        results = await asyncio.gather(*(node.add(pod) for _ in range(5)))
        assert all(result == results[0] for result in results)
        assert len(await node.assigned(pod)) == 1
        await asyncio.gather(*(node.delete(pod) for _ in range(5)))
        assert await node.holds_nothing()


@on_a_node
async def test_an_add_whose_runtime_went_away_is_whole_and_a_del_takes_it_away(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with connection:
            connection.connect(str(tmp_path / "cni.sock"))
            environment = b"".join(f"{key}={value}\0".encode() for key, value in pod.environment("ADD").items())
            body = b'{"cniVersion":"1.1.0","name":"k8s-pod-network"}'
            socket.send_fds(connection, [environment + b"\0" + body], [pod.netns])
            connection.shutdown(socket.SHUT_WR)
        await until(lambda: bool(node.router.attached))
        await node.add(pod)
        assert len(await node.assigned(pod)) == 1
        await node.delete(pod)
        assert await node.holds_nothing()


@on_a_node
async def test_only_root_may_ask(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        del node
        assert os.stat(tmp_path / "cni.sock").st_mode & 0o777 == 0o600


@on_a_node
async def test_a_second_agent_does_not_take_the_socket_away(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        with pytest.raises(OSError, match="another agent answers"):
            await CniServer(tmp_path / "cni.sock", node.verbs).start()
        await node.add(node.sandbox())


# CHECK


def pod_side(change: Callable[[Devices, int], None]) -> Callable[[World, Sandbox], None]:
    def act(node: World, pod: Sandbox) -> None:
        with inside(pod.netns), closing(Devices()) as devices:
            link = devices.link("eth0")
            assert link
            change(devices, link.index)

    return act


def host_side(change: Callable[[Devices, int], None]) -> Callable[[World, Sandbox], None]:
    def act(node: World, pod: Sandbox) -> None:
        with closing(Devices()) as devices:
            link = devices.link("cali0761ccbeace")
            assert link
            change(devices, link.index)

    return act


def without_address(devices: Devices, index: int) -> None:
    for one in devices.addresses(index):
        devices.remove_address(index, one.address, one.length)


DAMAGES: list[tuple[Callable[[World, Sandbox], None], str]] = [
    (pod_side(lambda devices, index: take_down("eth0")), "eth0 is down in the container"),
    (pod_side(lambda devices, index: devices.set_mtu(index, 1400)), "eth0 has MTU 1400 instead of 1500"),
    (pod_side(lambda devices, index: devices.delete(index)), "there is no device cali0761ccbeace"),
    (pod_side(without_address), "eth0 has no address"),
    (pod_side(lambda devices, index: devices.set_mac(index, b"\x02" * 6)), "has MAC 02:02:02:02:02:02"),
    (host_side(lambda devices, index: take_down("cali0761ccbeace")), "cali0761ccbeace is down"),
    (host_side(lambda devices, index: devices.set_mac(index, b"\x02" * 6)), "instead of ee:ee:ee:ee:ee:ee"),
    (lambda node, pod: write_sysctls({"net/ipv4/conf/cali0761ccbeace/proxy_arp": "0"}), "proxy_arp is 0 instead of 1"),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGES, ids=[named for _, named in DAMAGES])
@on_a_node
async def test_check_names_the_difference(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[World, Sandbox], None], named: str
) -> None:
    monkeypatch.setattr("cni.check.CONVERGENCE_SECONDS", 0.1)
    async with world(shim, tmp_path) as node:
        pod = node.sandbox("web-1")
        network = configuration(prevResult=await node.add(pod))
        ended = await node.call(pod.environment("CHECK"), network)
        assert (ended.status, ended.stdout) == (0, b"")
        damage(node, pod)
        error = await node.refused(pod.environment("CHECK"), network)
        assert error["code"] == 102
        assert named in error["msg"]


@on_a_node
async def test_check_sees_lost_records_and_routes(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cni.check.CONVERGENCE_SECONDS", 0.1)
    async with world(shim, tmp_path) as node:
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


@on_a_node
async def test_check_waits_for_a_route_that_is_on_its_way(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        network = configuration(prevResult=await node.add(pod))
        endpoint = (await node.endpoints())[0]
        _, [(prefix, path)] = node.router.attached[endpoint.name]
        await node.router.detach(endpoint)
        checking = asyncio.create_task(node.call(pod.environment("CHECK"), network))
        await asyncio.sleep(0.3)
        await node.kernel.apply([(prefix, path)])
        assert (await checking).status == 0


@on_a_node
async def test_check_wants_to_know_what_add_said(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
        pod = node.sandbox()
        await node.add(pod)
        assert (await node.refused(pod.environment("CHECK")))["code"] == 7


# GC and STATUS


def gc(node: World, *valid: Sandbox, **members: Any) -> Any:
    listed = [{"containerID": one.container, "ifname": "eth0"} for one in valid]
    network = configuration(**({"cni.dev/valid-attachments": listed} | members))
    return node.call({"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, network)


@on_a_node
async def test_gc_removes_everything_of_what_is_not_listed(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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
    async with world(shim, tmp_path) as node:
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


@on_a_node
async def test_gc_leaves_other_networks_other_nodes_and_a_missing_list_alone(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path) as node:
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
    async with world(shim, tmp_path) as node:
        pod = node.sandbox("web-1")
        await node.add(pod)
        (written,) = await node.endpoints()
        await node.store.update(written.with_spec(container_id=None))
        assert (await gc(node, pod)).status == 0
        assert [endpoint.spec.pod for endpoint in await node.endpoints()] == ["web-1"]
        assert len(await node.host_routes()) == 1


@on_a_node
async def test_gc_goes_on_after_an_error_and_tells_them_all(
    shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(shim, tmp_path) as node:
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


async def status(node: World, **network: Any) -> tuple[int, str]:
    ended = await node.call({"CNI_COMMAND": "STATUS", "CNI_PATH": "/opt/cni/bin"}, configuration(**network))
    return (0, "") if ended.status == 0 else (ended.code, ended.document["msg"])


@on_a_node
async def test_status_says_whether_an_add_would_succeed(shim: Path, tmp_path: Path) -> None:
    async with world(shim, tmp_path, IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)) as node:
        assert await status(node) == (0, "")
        code, why = await status(node, **DUAL)
        assert (code, "no enabled IPv6 pool" in why) == (50, True)
        node.limitation = "no BGP session is up"
        assert await status(node) == (51, "STATUS: no BGP session is up")
        node.limitation = None
        for _ in range(4):
            await node.add(node.sandbox())
        code, why = await status(node)
        assert (code, "tiny" in why) == (50, True)
        node.switch.away = True
        assert (await status(node))[0] == 50


# Any order


@pytest.mark.parametrize("seed", range(3))
@on_a_node
async def test_no_order_of_calls_leaves_anything_without_an_owner(shim: Path, tmp_path: Path, seed: int) -> None:
    """ADD, DEL and GC at random, side by side, with a datastore that comes and goes and an agent that is replaced."""
    dice = random.Random(seed)
    async with world(shim, tmp_path) as node:
        pods = [node.sandbox(f"pod-{number % 3}") for number in range(6)]
        for _ in range(12):
            node.switch.away = False
            node.switch.calls_left = dice.choice([None, None, dice.randrange(20)])
            chosen = [(dice.choice(["ADD", "DEL"]), pod) for pod in dice.sample(pods, 3)]
            await asyncio.gather(*(node.call(pod.environment(verb)) for verb, pod in chosen))
        node.switch.calls_left, node.switch.away = None, False
        await asyncio.gather(*map(node.delete, pods))
        await node.tidy()
        assert await node.holds_nothing()
