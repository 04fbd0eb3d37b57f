"""A pod's device in real namespaces; see node.py for the drawing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cni.attachment import Attachment
from cni.pod_network import HOST_MAC, PodNetwork, pod_network
from cni.veth import Veth, netns_error
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.sysctl import read_sysctls, write_sysctls
from net.prefix import Prefix
from tests.cni.node import DUAL, Sandbox, on_a_node, serving_node

NODE_ADDRESSES = (Prefix.parse("192.0.2.1/32"), Prefix.parse("2001:db8::1/128"))


async def ping(source: Sandbox, address: str) -> bool:
    ping = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={source.path}", "ping", "-n", "-q", "-c", "1", "-W", "5", address,
        stdout=asyncio.subprocess.DEVNULL,
        pass_fds=(source.netns,),
    )  # fmt: skip
    return await ping.wait() == 0


@on_a_node
async def test_a_pod_reaches_its_node_and_its_neighbour_in_both_families(shim: Path, tmp_path: Path) -> None:
    async with serving_node(shim, tmp_path) as node:
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
    async with serving_node(shim, tmp_path) as node:
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


# The pair alone, without datastore and agent


NAME = "cali0761ccbeace"


def network(container: str = "c1", device: str = "eth0") -> PodNetwork:
    return pod_network(Attachment("net", container, device), NAME, (ip_address("10.65.0.1"),), 1440)


@on_a_node
async def test_a_made_pair_differs_only_in_the_route_that_is_the_agents() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as pod:
        made = await veth.make(network(), pod.netns)
        end = pod.device()
        assert end and (made.mac, made.mtu, made.host_mac) == (end.mac.hex(":"), 1440, HOST_MAC.hex(":"))
        inspected, differences = veth.inspect(network(), pod.netns)
        assert inspected == made
        assert differences == [f"the host has no route 10.65.0.1/32 dev {NAME}"]
        assert [owned.attachment for owned in veth.owned()] == [network().attachment]


@on_a_node
async def test_where_the_kernel_says_no_index_of_the_other_end_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create = Devices.create_veth

    def of_an_older_kernel(devices: Devices, *given: Any) -> Link:
        return replace(create(devices, *given), peer=0)

    monkeypatch.setattr(Devices, "create_veth", of_an_older_kernel)
    with closing(Veth()) as veth, closing(Sandbox()) as pod:
        made = await veth.make(network(), pod.netns)
        end = pod.device()
        assert end and (end.up, end.mac.hex(":")) == (True, made.mac)


@on_a_node
async def test_each_pods_end_has_a_mac_of_its_own_unless_one_is_asked_for() -> None:
    asked = replace(network("c3", "eth2"), host_name="caliother2", mac=b"\x02\0\0\0\0\x07")
    others = [network("c1"), replace(network("c2", "eth1"), host_name="caliother1")]
    with closing(Veth()) as veth, closing(Sandbox()) as pod:
        macs = [(await veth.make(one, pod.netns)).mac for one in (*others, asked)]
    assert (len(set(macs)), macs[2]) == (3, "02:00:00:00:00:07")
    assert [int(mac[:2], 16) & 0x03 for mac in macs] == [0x02] * 3  # locally administered, and of one device


@on_a_node
async def test_a_pair_that_cannot_be_finished_leaves_no_name_behind() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as pod:
        unfinished = replace(network(), pod_sysctls={"net/ipv4/conf/nosuch/forwarding": "1"})
        with pytest.raises(KernelError, match="set sysctl net/ipv4/conf/nosuch/forwarding"):
            await veth.make(unfinished, pod.netns)
        veth.delete_retired()
        assert (veth.owned(), veth.retire_unlabelled(NAME), pod.device()) == ([], False, None)


@on_a_node
async def test_a_device_is_found_by_its_label_under_whatever_name() -> None:
    with closing(Veth()) as maker, closing(Veth()) as veth, closing(Sandbox()) as pod, closing(Devices()) as devices:
        made = await maker.make(network(), pod.netns)
        devices.rename(made.index, "calirenamed")
        owned = veth.owned_by(network().attachment, NAME)
        assert owned and (owned.index, owned.name) == (made.index, "calirenamed")
        assert veth.owned_by(network("c2").attachment, NAME) is None


@on_a_node
@pytest.mark.parametrize("remembered", [True, False])
async def test_a_name_is_freed_only_in_the_containers_own_namespace(remembered: bool) -> None:
    other_end = replace(network("c2"), host_name="caliother")
    with closing(Veth()) as veth, closing(Veth()) as later, closing(Sandbox()) as pod, closing(Sandbox()) as other:
        await veth.make(network(), pod.netns)
        await veth.make(other_end, other.netns)
        owned = (veth if remembered else later).owned_by(network().attachment, NAME)
        assert owned and bool(owned.namespace) == remembered
        ends = pod.device(), other.device()
        assert ends[0] and ends[1] and ends[0].index == ends[1].index == owned.peer
        veth.free_name(owned, other.netns)
        assert (pod.device(), other.device()) == ends
        veth.free_name(owned, pod.netns)
        assert (pod.device(), other.device()) == (None, ends[1])
        assert routes_of(pod) == [] != routes_of(other)  # a default route would take another network's packets


def routes_of(pod: Sandbox) -> list[Prefix]:
    with inside(pod.netns), closing(Devices()) as devices:
        return [prefix for prefix, _ in devices.routes()]


@on_a_node
async def test_a_device_that_somebody_deleted_is_put_aside_all_the_same() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as pod, closing(Devices()) as devices:
        made = await veth.make(network(), pod.netns)
        owned = veth.owned_by(network().attachment, NAME)
        assert owned
        devices.delete(made.index)
        veth.retire(owned)
        veth.free_name(owned, pod.netns)
        assert veth.owned_by(network().attachment, NAME) is None


@on_a_node
async def test_a_retired_device_keeps_its_name_until_that_is_needed() -> None:
    with (
        closing(Veth()) as veth,
        closing(Sandbox()) as pod,
        closing(Sandbox()) as successor,
        closing(Devices()) as devices,
    ):
        first = await veth.make(network(), pod.netns)
        [owned] = veth.owned()
        veth.retire(owned)
        left = devices.link(NAME)
        assert left and (left.index, left.up, veth.holder(NAME)) == (first.index, False, None)
        assert veth.inspect(network(), pod.netns) == (None, [f"there is no device {NAME} on the host"])
        second = await veth.make(network("c2"), successor.netns)
        veth.delete_retired()
        found = devices.link(NAME)
        assert found and found.index == second.index != first.index


@on_a_node
async def test_retired_devices_of_one_name_are_deleted_together() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as one, closing(Sandbox()) as other:
        for pod, container in ((one, "c1"), (other, "c2")):
            await veth.make(network(container), pod.netns)
            owned = veth.owned_by(network(container).attachment, NAME)
            assert owned
            veth.retire(owned)
        assert veth.owned() == []
        veth.delete_retired()
        assert (one.device(), other.device()) == (None, None)


@on_a_node
async def test_only_a_device_without_a_label_is_retired_unlabelled() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as pod, closing(Devices()) as devices:
        await veth.make(network(), pod.netns)
        assert not veth.retire_unlabelled(NAME)
        devices.create_veth("calico", pod.netns, "eth1", HOST_MAC)
        assert veth.retire_unlabelled("calico")
        assert devices.link("calico") is None


@on_a_node
async def test_inspect_names_the_attachment_that_a_device_leads_to() -> None:
    with closing(Veth()) as veth, closing(Sandbox()) as pod:
        assert veth.inspect(network(), pod.netns) == (None, [f"there is no device {NAME} on the host"])
        await veth.make(network(), pod.netns)
        assert veth.inspect(network("c2"), pod.netns) == (None, [f"{NAME} leads to eth0 of container c1"])


def test_a_descriptor_that_is_no_pods_namespace_is_named() -> None:
    with (
        closing(Sandbox()) as pod,
        open("/proc/thread-self/ns/net") as own,
        open("/proc/self/ns/uts") as other,
        open("/dev/null") as file,
    ):
        assert [netns_error(one) for one in (pod.netns, own.fileno(), other.fileno(), file.fileno())] == [
            None,
            "is the node's own network namespace",
            "is a namespace, but not of networks",
            "is not a namespace",
        ]
