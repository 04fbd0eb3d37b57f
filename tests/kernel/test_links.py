"""A pod's veth from both sides, with `ip` and `ping` as witnesses.

node: cali… ee:ee:ee:ee:ee:ee ─── pod: eth0, 10.65.1.7/32 and fd00:65::7/128
"""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import closing

import pytest

from kernel.events import KernelEvent, LinkChanged, RouteChanged
from kernel.link_codec import Link, link_local
from kernel.links import HOST_MAC, POD_GATEWAY, Devices, host_sysctls
from kernel.netlink import KernelError
from kernel.netns import inside
from kernel.route import NextHop, RouteSpec
from kernel.rtnetlink import Rtnetlink
from kernel.sysctl import read_sysctls, write_sysctls
from net.prefix import Prefix, pack
from tests.kernel.netns import Namespace, namespace

ADDRESS, ADDRESS6 = pack("10.65.1.7"), pack("fd00:65::7")
NAME = "cali0123456789a"


@pytest.fixture
def veth(devices: Devices, pod: Namespace) -> Link:
    return devices.create_veth(NAME, pod.descriptor, "eth0", mtu=1440)


def test_the_pods_end_is_born_in_the_pod(veth: Link, node: Namespace, pod: Namespace) -> None:
    assert (veth.name, veth.up, veth.mtu, veth.mac, veth.kind) == (NAME, True, 1440, HOST_MAC, "veth")
    seen = pod.ip("-d link show eth0")
    assert "mtu 1440" in seen and "numtxqueues 1 numrxqueues 1" in seen and ",UP" not in seen
    assert "eth0" in node.ip("link show eth0")  # the node's own is untouched
    assert "numtxqueues 1 numrxqueues 1" in node.ip(f"-d link show {NAME}")


def test_a_furnished_pod_reads_back_as_it_was_meant(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        link = devices.furnish("eth0", [ADDRESS, ADDRESS6])
        assert devices.link("eth0") is not None and link.up and link.peer == veth.index
        given = {(found.address, found.length) for found in devices.addresses(link.index) if found.scope == 0}
        assert given == {(ADDRESS, 32), (ADDRESS6, 128)}
        gateway6 = pack("fe80::ecee:eeff:feee:eeee")
        permanent = {found.address: found.mac for found in devices.neighbours(link.index) if found.permanent}
        assert permanent == {POD_GATEWAY: HOST_MAC, gateway6: HOST_MAC}
        routes = dict(devices.routes())
        assert routes[Prefix.parse("0.0.0.0/0")].hops == (NextHop(link.index, POD_GATEWAY),)
        assert routes[Prefix.parse("::/0")].hops == (NextHop(link.index, gateway6),)
        assert routes[Prefix.host(POD_GATEWAY)] == RouteSpec(3, 0, hops=(NextHop(link.index),), scope=253)
        assert devices.link("nosuch") is None


async def test_a_pods_first_ping_is_answered_in_both_families(
    veth: Link, kernel: Rtnetlink, node: Namespace, pod: Namespace
) -> None:
    with inside(node.descriptor):
        write_sysctls(host_sysctls(NAME, ipv6=True))
    with inside(pod.descriptor), closing(Devices()) as devices:
        devices.furnish("eth0", [ADDRESS, ADDRESS6])
    to_pod = RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=253)
    put = [(Prefix.host(ADDRESS), to_pod), (Prefix.host(ADDRESS6), to_pod._replace(scope=0))]
    assert await kernel.apply(put) == []
    assert " 0% packet loss" in pod.run("ping", "-c1", "-W5", "192.0.2.1")
    assert " 0% packet loss" in pod.run("ping", "-c1", "-W5", "2001:db8::1")


def test_given_routes_take_the_place_of_the_default(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        devices.furnish("eth0", [ADDRESS], routes=[Prefix.parse("10.0.0.0/8"), Prefix.parse("fd00::/16")])
    assert "10.0.0.0/8 via 169.254.1.1 dev eth0" in pod.ip("route show")
    assert "default" not in pod.ip("route show")
    assert "fd00::/16" not in pod.ip("-6 route show")  # the pod has no IPv6 address


def test_what_the_pod_refuses_is_said_as_the_step_that_failed(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        devices.furnish("eth0", [ADDRESS])
        with pytest.raises(KernelError, match=r"^add address 10\.65\.1\.7 to eth0: .*EEXIST") as refused:
            devices.furnish("eth0", [ADDRESS])
        assert refused.value.errno == errno.EEXIST
        with pytest.raises(KernelError, match="no such device"):
            devices.furnish("eth7", [ADDRESS])


def test_a_taken_name_is_refused_on_either_side(devices: Devices, veth: Link, pod: Namespace) -> None:
    for names in ((NAME, "eth1"), ("caliother", "eth0")):
        with pytest.raises(KernelError, match=f"create veth {names[0]}") as refused:
            devices.create_veth(names[0], pod.descriptor, names[1])
        assert refused.value.errno == errno.EEXIST
    assert devices.link("caliother") is None


def test_sysctls_of_the_hosts_end_are_calicos(veth: Link, node: Namespace) -> None:
    wanted = host_sysctls(NAME, ipv6=True)
    with inside(node.descriptor):
        write_sysctls(wanted)
        assert read_sysctls(wanted) == wanted
        write_sysctls(wanted)
        with pytest.raises(KernelError, match=r"^set sysctl net/ipv4/conf/nosuch/proxy_arp to 1: .*ENOENT"):
            write_sysctls({"net/ipv4/conf/nosuch/proxy_arp": "1"})
        write_sysctls({"net/ipv4/neigh/nosuch/proxy_delay": "0"}, optional=["proxy_delay"])
    for path, value in wanted.items():
        assert node.run("cat", f"/proc/sys/{path}").strip() == value
    assert not any("ipv6" in path for path in host_sysctls(NAME, ipv6=False))


async def test_retiring_frees_the_name_and_drops_the_routes_at_once(
    devices: Devices, veth: Link, kernel: Rtnetlink, pod: Namespace
) -> None:
    await kernel.apply([(Prefix.host(ADDRESS), RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=253))])
    devices.retire(veth.index, "x0123456789abcd", group=7701)
    assert await kernel.dump([80]) == []
    retired = devices.link("x0123456789abcd")
    assert retired is not None and (retired.index, retired.up, retired.group) == (veth.index, False, 7701)
    assert devices.link(NAME) is None
    with namespace("pod") as successor:  # a StatefulSet's next pod has the same name
        devices.create_veth(NAME, successor.descriptor, "eth0")
        devices.reap(7701)
        assert devices.link(NAME) is not None
    assert devices.link("x0123456789abcd") is None
    assert pod.ip("-br link").split()[0] == "lo" and "eth0" not in pod.ip("-br link")


def test_removing_what_is_gone_is_fine(devices: Devices, veth: Link) -> None:
    devices.delete(veth.index)
    devices.delete(veth.index)
    devices.retire(veth.index, "x0123456789abcd", group=7701)
    devices.reap(7701)
    devices.remove_address(1, ADDRESS, 32)


def test_single_changes_are_seen_by_ip(devices: Devices, veth: Link, node: Namespace) -> None:
    devices.add_address(veth.index, ADDRESS, 32)
    devices.add_address(veth.index, ADDRESS, 32)
    devices.add_address(veth.index, ADDRESS6, 128)
    devices.put_route(Prefix.parse("10.65.1.9"), RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=253))
    devices.set_mtu(veth.index, 1300)
    devices.set_mac(veth.index, b"\x02\0\0\0\0\x01")
    devices.rename(veth.index, "calinew")
    devices.set_alias(veth.index, "whose it is")
    shown = node.ip("addr show calinew")
    assert (
        "inet 10.65.1.7/32" in shown and "inet6 fd00:65::7/128" in shown and "tentative" not in shown.split("fe80")[0]
    )
    assert devices.links()[veth.index].alias == "whose it is"
    assert "mtu 1300" in shown and "02:00:00:00:00:01" in shown
    assert "10.65.1.9" in node.ip("route show dev calinew")
    devices.remove_address(veth.index, ADDRESS, 32)
    assert "10.65.1.7" not in node.ip("addr show calinew")
    node.ip("link set calinew down")
    assert not devices.links()[veth.index].up
    devices.set_up(veth.index)
    assert devices.links()[veth.index].up


def test_a_descriptor_that_is_no_namespace_is_refused_before_anything_changed() -> None:
    home = os.readlink("/proc/thread-self/ns/net")
    with (
        open("/dev/null") as file,
        pytest.raises(KernelError, match="enter the network namespace"),
        inside(file.fileno()),
    ):
        pytest.fail("went inside")
    assert os.readlink("/proc/thread-self/ns/net") == home


def test_inside_returns_home_from_an_error(node: Namespace) -> None:
    home = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(ZeroDivisionError), inside(node.descriptor):
        assert os.readlink("/proc/thread-self/ns/net") != home
        raise ZeroDivisionError
    assert os.readlink("/proc/thread-self/ns/net") == home


async def test_an_own_pods_events_are_heard(devices: Devices, kernel: Rtnetlink, veth: Link, pod: Namespace) -> None:
    heard: list[KernelEvent] = []
    devices.delete(veth.index)
    async with asyncio.timeout(20):
        async for batch in kernel.events():
            heard += batch
            if any(isinstance(event, LinkChanged) and event.gone for event in batch):
                break
    assert [event.link.name for event in heard if isinstance(event, LinkChanged)][-1] == NAME
    assert not any(isinstance(event, RouteChanged) and event.own for event in heard)


def test_the_link_local_address_is_the_kernels() -> None:
    assert link_local(HOST_MAC) == pack("fe80::ecee:eeff:feee:eeee")
