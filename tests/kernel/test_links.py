"""Devices in real network namespaces, with `ip` as the witness.

node: cali0123456789a ─── pod: eth0
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from kernel.events import KernelEvent, LinkChanged, RouteChanged
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import inside, new_network_namespace
from kernel.route import LINK_SCOPE, NextHop, RouteSpec
from kernel.rtnetlink import Rtnetlink
from kernel.sysctl import read_sysctls, write_sysctls
from net.prefix import Prefix, pack
from tests.kernel.netns import PATIENCE_SECONDS, Namespace, namespace

NAME = "cali0123456789a"
MAC, OTHER_MAC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
HOST, HOST6 = Prefix.parse("10.65.1.7/32"), Prefix.parse("fd00:65::7/128")
GATEWAY, GATEWAY6 = pack("169.254.1.1"), pack("fe80::1")
ANY, ANY6 = Prefix.parse("0.0.0.0/0"), Prefix.parse("::/0")


@pytest.fixture
def veth(devices: Devices, pod: Namespace) -> Link:
    return devices.create_veth(NAME, pod.descriptor, "eth0", MAC, mtu=1440)


def test_the_peer_of_a_veth_is_born_in_the_other_namespace(veth: Link, node: Namespace, pod: Namespace) -> None:
    assert (veth.name, veth.up, veth.mtu, veth.mac, veth.kind) == (NAME, True, 1440, MAC, "veth")
    seen = pod.ip("-d link show eth0")
    assert "mtu 1440" in seen and "numtxqueues 1 numrxqueues 1" in seen and ",UP" not in seen
    assert "eth0" in node.ip("link show eth0")  # the node's own is untouched
    assert "numtxqueues 1 numrxqueues 1" in node.ip(f"-d link show {NAME}")


def test_both_ends_of_a_veth_are_known_without_reading_them(devices: Devices, pod: Namespace) -> None:
    made = devices.create_veth(NAME, pod.descriptor, "eth7", MAC, mtu=1440, peer_mac=OTHER_MAC)
    with inside(pod.descriptor), closing(Devices()) as there:
        end = there.link("eth7")
    assert end is not None
    assert (made.peer, made.index, made.mtu) == (end.index, end.peer, end.mtu)
    assert (end.mac, end.name) == (OTHER_MAC, "eth7")


def test_a_namespace_that_takes_anothers_number_is_another() -> None:
    cookies = dict[int, int]()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:  # until the kernel has taken one away, and gives its number to the next
        made = new_network_namespace()
        number = os.fstat(made).st_ino
        with inside(made), closing(Devices()) as one, closing(Devices()) as same:
            cookie = one.namespace
            assert cookie == same.namespace != 0
        os.close(made)
        if number in cookies:
            assert cookies[number] != cookie
            return
        cookies[number] = cookie
        assert time.monotonic() < deadline, "no number comes again"


def test_a_label_comes_with_the_sysctls_that_netlink_sets_and_the_others_are_left(
    devices: Devices, veth: Link, node: Namespace
) -> None:
    settable = {
        f"net/ipv4/conf/{NAME}/route_localnet": "1",
        f"net/ipv4/neigh/{NAME}/proxy_delay": "0",
        f"net/ipv4/conf/{NAME}/proxy_arp": "1",
        f"net/ipv4/conf/{NAME}/forwarding": "1",
    }
    others = {f"net/ipv4/conf/{NAME}/rp_filter": "2", f"net/ipv6/conf/{NAME}/accept_ra": "0"}
    with inside(node.descriptor):
        write_sysctls({path: "80" if path.endswith("proxy_delay") else "0" for path in settable})
        before = read_sysctls([*settable, *others])
        assert devices.label(veth, "whose it is", settable | others) == others
        assert read_sysctls([*settable, *others]) == before | settable
    assert devices.links()[veth.index].alias == "whose it is"


def test_a_device_that_cannot_be_labelled_is_named(devices: Devices, veth: Link) -> None:
    devices.delete(veth.index)
    with pytest.raises(KernelError, match=f"^label device {NAME} 'mine' and set its sysctls: .*ENODEV"):
        devices.label(veth, "mine", {})


def test_a_configured_interface_reads_back_as_it_was_meant(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        born = devices.link("eth0")
        assert born is not None and not born.up
        routes = [
            (Prefix.host(GATEWAY), RouteSpec(3, 0, hops=(NextHop(born.index),), scope=LINK_SCOPE)),
            (ANY, RouteSpec(3, 0, hops=(NextHop(born.index, GATEWAY),))),
            (ANY6, RouteSpec(3, 1024, hops=(NextHop(born.index, GATEWAY6),))),
        ]
        link = devices.configure_interface(
            born,
            mtu=1400,
            addresses=[HOST, HOST6],
            neighbours=[(GATEWAY, MAC), (GATEWAY6, MAC)],
            routes=routes,
        )
        assert (link.up, link.mac, link.mtu, link.peer) == (True, born.mac, 1400, veth.index)
        read = devices.link("eth0")
        assert read is not None and (read.up, read.mac, read.mtu) == (True, born.mac, 1400)
        given = {Prefix(one.address, one.length) for one in devices.addresses(link.index) if one.scope == 0}
        assert given == {HOST, HOST6}
        permanent = {one.address: one.mac for one in devices.neighbours(link.index) if one.permanent}
        assert permanent == {GATEWAY: MAC, GATEWAY6: MAC}
        assert dict(devices.routes()).items() >= dict(routes).items()
        assert devices.link("nosuch") is None
    assert ",UP" in pod.ip("link show lo")


def test_an_interface_without_more_is_only_brought_up(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        born = devices.link("eth0")
        assert born is not None
        assert devices.configure_interface(born).mac == born.mac
    assert ",UP" in pod.ip("link show eth0")
    assert "mtu 1440" in pod.ip("link show eth0")


def test_a_refused_configuration_names_the_step_that_failed(veth: Link, pod: Namespace) -> None:
    with inside(pod.descriptor), closing(Devices()) as devices:
        born = devices.link("eth0")
        assert born is not None
        devices.configure_interface(born, addresses=[HOST])
        with pytest.raises(KernelError, match=r"^add address 10\.65\.1\.7/32 to eth0: .*EEXIST") as refused:
            devices.configure_interface(born, addresses=[HOST])
        assert refused.value.errno == errno.EEXIST
        unreachable = RouteSpec(3, 0, hops=(NextHop(born.index, pack("192.0.2.1")),))
        with pytest.raises(KernelError, match=r"^put route 0\.0\.0\.0/0 dev eth0: .*ENETUNREACH"):
            devices.configure_interface(born, routes=[(ANY, unreachable)])


def test_a_taken_name_is_refused_on_either_side(devices: Devices, veth: Link, pod: Namespace) -> None:
    for names in ((NAME, "eth1"), ("caliother", "eth0")):
        with pytest.raises(KernelError, match=f"create veth {names[0]}") as refused:
            devices.create_veth(names[0], pod.descriptor, names[1], MAC)
        assert refused.value.errno == errno.EEXIST
    assert devices.link("caliother") is None


async def test_retiring_frees_the_name_and_drops_the_routes_at_once(
    devices: Devices, veth: Link, kernel: Rtnetlink, pod: Namespace
) -> None:
    await kernel.apply([(HOST, RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=LINK_SCOPE))])
    devices.retire(veth.index, 7701, "x0123456789abcd")
    assert await kernel.dump([80]) == []
    retired = devices.link("x0123456789abcd")
    assert retired is not None and (retired.index, retired.up, retired.group) == (veth.index, False, 7701)
    assert devices.link(NAME) is None
    with namespace("pod") as successor:  # a StatefulSet's next pod has the same name
        devices.create_veth(NAME, successor.descriptor, "eth0", MAC)
        devices.delete_group(7701)
        assert devices.link(NAME) is not None
    assert devices.link("x0123456789abcd") is None
    assert pod.ip("-br link").split()[0] == "lo" and "eth0" not in pod.ip("-br link")


def test_a_device_is_put_aside_by_a_kernel_that_renames_none_that_is_up(
    devices: Devices, veth: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = devices._netlink.request

    def of_an_older_kernel(kind: int, flags: int, body: bytes, tried: str) -> Any:
        if tried.startswith("retire") and (link := devices.link(NAME)) is not None and link.up:
            raise KernelError(f"{tried}: device or resource busy (EBUSY)", errno.EBUSY)
        return request(kind, flags, body, tried)

    devices.set_up(veth.index)
    monkeypatch.setattr(devices._netlink, "request", of_an_older_kernel)
    devices.retire(veth.index, 7701, "x0123456789abcd")
    retired = devices.link("x0123456789abcd")
    assert retired is not None and (retired.index, retired.up, retired.group) == (veth.index, False, 7701)


def test_removing_what_is_gone_raises_nothing(devices: Devices, veth: Link) -> None:
    devices.delete(veth.index)
    devices.delete(veth.index)
    devices.retire(veth.index, 7701, "x0123456789abcd")
    devices.delete_group(7701)
    devices.remove_address(1, HOST.packed, 32)
    assert devices.link(NAME) is None


def test_a_device_of_a_plain_kind_is_made_once(devices: Devices, node: Namespace) -> None:
    devices.create("br0", "bridge")
    assert "bridge" in node.ip("-d link show br0")
    with pytest.raises(KernelError, match=r"create br0 of kind bridge: .*EEXIST"):
        devices.create("br0", "bridge")


def test_single_changes_are_seen_by_ip(devices: Devices, veth: Link, node: Namespace) -> None:
    devices.add_address(veth.index, HOST.packed, 32)
    devices.add_address(veth.index, HOST.packed, 32)
    devices.add_address(veth.index, HOST6.packed, 128)
    devices.put_route(Prefix.parse("10.65.1.9"), RouteSpec(80, 1030, hops=(NextHop(veth.index),), scope=LINK_SCOPE))
    devices.set_mtu(veth.index, 1300)
    devices.set_mac(veth.index, OTHER_MAC)
    devices.rename(veth.index, "calinew")
    devices.label(replace(veth, name="calinew"), "whose it is", {})
    shown = node.ip("addr show calinew")
    assert (
        "inet 10.65.1.7/32" in shown and "inet6 fd00:65::7/128" in shown and "tentative" not in shown.split("fe80")[0]
    )
    assert devices.links()[veth.index].alias == "whose it is"
    assert "mtu 1300" in shown and "02:00:00:00:00:02" in shown
    assert "10.65.1.9" in node.ip("route show dev calinew")
    devices.remove_address(veth.index, HOST.packed, 32)
    assert "10.65.1.7" not in node.ip("addr show calinew")
    node.ip("link set calinew down")
    assert not devices.links()[veth.index].up
    devices.set_up(veth.index)
    assert devices.links()[veth.index].up


def test_a_lookup_tells_the_route_or_why_there_is_none(devices: Devices, node: Namespace) -> None:
    eth0 = devices.link("eth0")
    assert eth0 is not None
    found = devices.route_to(pack("192.0.2.9"))
    assert found is not None and (found[0], found[1].hops[0].device) == (Prefix.parse("192.0.2.0/24"), eth0.index)
    assert devices.route_to(pack("203.0.113.9")) is None
    node.ip("route add blackhole 10.9.0.0/16")
    for address, code in (("203.0.113.9", errno.ENETUNREACH), ("10.9.0.1", errno.EINVAL)):
        with pytest.raises(KernelError, match=f"look up {address}") as refused:
            devices.lookup(pack(address))
        assert refused.value.errno == code


async def test_deleting_a_device_is_an_event_to_others(devices: Devices, kernel: Rtnetlink, veth: Link) -> None:
    events: list[KernelEvent] = []
    devices.delete(veth.index)
    async with asyncio.timeout(20):
        async for batch in kernel.events():
            events += batch
            if any(isinstance(event, LinkChanged) and event.gone for event in batch):
                break
    assert [event.link.name for event in events if isinstance(event, LinkChanged)][-1] == NAME
    assert not any(isinstance(event, RouteChanged) and event.own for event in events)
