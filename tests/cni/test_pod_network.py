"""One value, and what its three readers make of it: the kernel's objects, commands, differences."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cni.addresses import Address
from cni.attachment import Attachment
from cni.errors import CniError
from cni.pod_network import (
    GATEWAY,
    GATEWAY6,
    HOST_MAC,
    FoundNetwork,
    PodNetwork,
    differences,
    gateway_of,
    ip_commands,
    pod_network,
    requested_network,
)
from cni.request import parse
from kernel.link_codec import InterfaceAddress, Link
from kernel.links import Devices
from kernel.netns import inside
from kernel.route import NextHop, RouteSpec
from kernel.sysctl import read_sysctls
from net.prefix import Prefix, pack
from tests.cni.conftest import call, configuration
from tests.kernel.netns import Namespace, namespace

ATTACHMENT = Attachment("net", "c1", "eth0")
NAME = "cali0123456789a"
HOST_INDEX, POD_INDEX = 7, 2
FOUR, SIX = ip_address("10.65.1.2"), ip_address("fd80::2")

addresses = st.lists(
    st.ip_addresses(v=4) | st.ip_addresses(v=6), min_size=1, max_size=3, unique=True
).map(tuple)  # fmt: skip
networks = st.builds(
    pod_network,
    st.just(ATTACHMENT),
    st.just(NAME),
    addresses,
    st.integers(1280, 9000),
    mac=st.sampled_from([b"", b"\x02" * 6]),
    forwarding=st.booleans(),
)


def dual(mtu: int = 1440, **more: Any) -> PodNetwork:
    return pod_network(ATTACHMENT, NAME, (FOUR, SIX), mtu, **more)


def as_made(network: PodNetwork) -> FoundNetwork:
    """Return what reads back right after an ADD."""
    host = Link(HOST_INDEX, NAME, True, True, network.mtu, HOST_MAC, kind="veth", peer=POD_INDEX)
    pod = Link(POD_INDEX, "eth0", True, True, network.mtu, b"\x02" * 6, kind="veth", peer=HOST_INDEX)
    return FoundNetwork(
        host=host,
        pod=pod,
        addresses=[
            InterfaceAddress(POD_INDEX, packed, length, 2 if length == 32 else 10, 0)
            for packed, length in network.prefixes
        ],
        routes=network.route_specs(POD_INDEX),
        neighbours=network.neighbours,
        leads_out={prefix.packed: True for prefix in network.prefixes},
        host_sysctls=network.host_sysctls,
        pod_sysctls=network.pod_sysctls,
        host_routes=[(prefix, RouteSpec(80, 1030, hops=(NextHop(HOST_INDEX),))) for prefix in network.prefixes],
    )


# The value


def test_a_pod_of_both_families_has_a_route_neighbour_and_sysctls_of_each() -> None:
    network = dual()
    assert network.prefixes == (Prefix.parse("10.65.1.2/32"), Prefix.parse("fd80::2/128"))
    assert network.neighbours == (GATEWAY, GATEWAY6)
    assert [(str(route.destination), route.gateway) for route in network.routes] == [
        ("169.254.1.1/32", b""),
        ("0.0.0.0/0", GATEWAY),
        ("::/0", GATEWAY6),
    ]
    assert network.pod_sysctls["net/ipv4/ip_forward"] == "0"
    assert network.host_sysctls[f"net/ipv6/conf/{NAME}/proxy_ndp"] == "1"


def test_a_pod_of_one_family_has_nothing_of_the_other() -> None:
    four = pod_network(ATTACHMENT, NAME, (FOUR,), 1440)
    of_ipv6 = [path for path in (*four.host_sysctls, *four.pod_sysctls) if "ipv6" in path]
    assert of_ipv6 == [f"net/ipv6/conf/{NAME}/accept_ra"]  # which no pod's device may follow
    assert {len(route.destination.packed) for route in four.routes} == {4}
    six = pod_network(ATTACHMENT, NAME, (SIX,), 1440)
    assert [str(route.destination) for route in six.routes] == ["::/0"]


@given(networks)
def test_a_gateway_is_on_link_before_a_route_leads_through_it(network: PodNetwork) -> None:
    on_link = {GATEWAY6}  # link-local: on link by itself
    for destination, gateway in network.routes:
        assert not gateway or gateway in on_link
        if not gateway:
            on_link.add(destination.packed)
    assert set(network.neighbours) == {route.gateway for route in network.routes if route.gateway}


def test_the_gateway_in_a_result_is_the_one_of_the_route() -> None:
    assert [str(gateway_of(address)) for address in (FOUR, SIX)] == ["169.254.1.1", "fe80::ecee:eeff:feee:eeee"]


def test_a_pod_may_forward_only_where_its_network_says_so() -> None:
    forwarding = dual(forwarding=True).pod_sysctls
    assert {forwarding["net/ipv4/ip_forward"], forwarding["net/ipv6/conf/all/forwarding"]} == {"1"}


def requested(addresses: tuple[Address, ...] = (FOUR,), node_mtu: int = 1500, **network: Any) -> PodNetwork:
    request = parse(call("ADD", CNI_NETNS="/run/netns/a"), json.dumps(configuration(**network)).encode())
    return requested_network(request, NAME, addresses, node_mtu)


def test_the_networks_mtu_counts_before_the_nodes() -> None:
    assert requested(node_mtu=1430).mtu == 1430
    assert requested(node_mtu=1430, mtu=1300).mtu == 1300


@pytest.mark.parametrize(("address", "least"), [(FOUR, 68), (SIX, 1280)])
def test_an_mtu_below_the_familys_least_is_refused(address: Address, least: int) -> None:
    assert requested((address,), mtu=least).mtu == least
    with pytest.raises(CniError, match=f"mtu {least - 1} is too small; the least is {least}") as refused:
        requested((address,), mtu=least - 1)
    assert refused.value.code == 7


# Printed


@given(networks)
def test_every_part_of_the_value_is_printed(network: PodNetwork) -> None:
    text = "\n".join(ip_commands(network, "felix net c1 eth0"))
    for prefix in network.prefixes:
        assert f"address add {prefix}" in text
    for path, value in (*network.host_sysctls.items(), *network.pod_sysctls.items()):
        assert f"{path}={value}" in text
    assert text.count("neighbour replace") == len(network.neighbours)
    assert text.count("route replace") == len(network.routes)
    assert (f"link set eth0 address {network.mac.hex(':')}" in text) == bool(network.mac)


@pytest.fixture
def host() -> Iterator[Namespace]:
    with namespace("host") as made:
        yield made


@pytest.fixture
def pod() -> Iterator[Namespace]:
    with namespace("pod") as made:
        yield made


@pytest.mark.parametrize("mac", [b"", b"\x02\0\0\0\0\x07"])
def test_the_commands_typed_back_make_the_same_network(host: Namespace, pod: Namespace, mac: bytes) -> None:
    network = dual(mac=mac)
    typed = [line.replace("POD", pod.name) for line in ip_commands(network, "felix net c1 eth0")]
    done = subprocess.run(
        ["ip", "netns", "exec", host.name, "sh", "-ec", "\n".join(typed)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with inside(host.descriptor), closing(Devices()) as devices:
        link = devices.link(NAME)
        assert link is not None and link.alias == "felix net c1 eth0"
        host_sysctls = read_sysctls(network.host_sysctls)
    with inside(pod.descriptor), closing(Devices()) as devices:
        end = devices.link("eth0")
        assert end is not None and end.mac == (mac or end.mac)
        neighbours = {one.address for one in devices.neighbours(end.index) if one.permanent}
        found = replace(
            as_made(network),  # the host's routes are not made by these commands
            host=link,
            pod=end,
            addresses=devices.addresses(end.index),
            routes=devices.routes(),
            host_sysctls=host_sysctls,
            pod_sysctls=read_sysctls(network.pod_sysctls),
            host_routes=[(one, RouteSpec(80, 1030, hops=(NextHop(link.index),))) for one in network.prefixes],
        )
    assert differences(network, found) == []
    assert neighbours == set(network.neighbours)


# Compared


@given(networks)
def test_what_reads_back_as_it_was_made_has_no_difference(network: PodNetwork) -> None:
    assert differences(network, as_made(network)) == []


@given(networks, st.data())
def test_each_single_change_that_breaks_traffic_is_one_difference_that_names_it(
    network: PodNetwork, data: st.DataObject
) -> None:
    found = as_made(network)
    lost = data.draw(st.integers(0, len(network.addresses) - 1))
    prefix = network.prefixes[lost]
    elsewhere = prefix, RouteSpec(80, 1030, hops=(NextHop(99),))
    changes: list[tuple[FoundNetwork, str]] = [
        (replace(found, pod=replace(found.pod, up=False)), "eth0 is down in the container"),
        (replace(found, pod=replace(found.pod, peer=99)), f"eth0 is not the other end of {NAME}"),
        (replace(found, pod=replace(found.pod, mtu=70000)), "eth0 has MTU 70000"),
        (replace(found, host=replace(found.host, up=False)), f"{NAME} is down"),
        (replace(found, host=replace(found.host, mtu=1)), f"larger than {NAME}'s 1 is lost"),
        (replace(found, host=replace(found.host, mac=bytes(6))), "has MAC 00:00:00:00:00:00 instead of ee:ee"),
        (replace(found, addresses=without(found.addresses, lost)), f"eth0 has no address {prefix}"),
        (replace(found, routes=[], leads_out=dict.fromkeys(found.leads_out, False)), "the container has no default"),
        (replace(found, host_routes=replaced(found.host_routes, lost, None)), f"the host has no route {prefix}"),
        (replace(found, host_routes=replaced(found.host_routes, lost, elsewhere)), f"the host has no route {prefix}"),
    ]
    for changed, named in changes:
        reported = differences(network, changed)
        assert reported and all(named in one for one in reported), (named, reported)


@pytest.mark.parametrize(
    "path",
    [
        f"net/ipv4/conf/{NAME}/forwarding",
        f"net/ipv6/conf/{NAME}/disable_ipv6",
        f"net/ipv4/conf/{NAME}/proxy_arp",
        "net/ipv4/ip_forward",
    ],
)
def test_a_sysctl_without_which_packets_are_dropped_is_named(path: str) -> None:
    network = dual(forwarding=True)
    found = replace(as_made(network), neighbours=())
    wrong = dict.fromkeys([path], "?")
    changed = replace(found, host_sysctls={**found.host_sysctls, **wrong}, pod_sysctls={**found.pod_sysctls, **wrong})
    assert [f"sysctl {path} is ?" in one for one in differences(network, changed)] == [True]


def test_what_breaks_no_traffic_is_no_difference() -> None:
    network = dual(1440)
    found = as_made(network)
    changes = [
        replace(found, pod=replace(found.pod, mtu=1400)),
        replace(found, pod=replace(found.pod, mac=b"\x02\0\0\0\0\x09")),
        replace(found, pod=replace(found.pod, mtu=1400), host=replace(found.host, mtu=9000)),
        replace(found, routes=[]),  # moved to another table, where a rule finds them
        replace(found, neighbours=()),
        replace(found, pod_sysctls={"net/ipv4/ip_forward": "1"}),
        replace(found, host_sysctls={**network.host_sysctls, f"net/ipv4/conf/{NAME}/proxy_arp": "0"}),
        replace(found, host_sysctls={**network.host_sysctls, f"net/ipv4/conf/{NAME}/route_localnet": "0"}),
    ]
    assert [differences(network, changed) for changed in changes] == [[]] * len(changes)


def test_a_default_route_through_another_gateway_is_enough_where_it_leads_out() -> None:
    network = pod_network(ATTACHMENT, NAME, (FOUR,), 1440)
    elsewhere = RouteSpec(3, 0, hops=(NextHop(POD_INDEX, pack("10.0.0.1")),))
    found = replace(as_made(network), routes=[(Prefix.parse("0.0.0.0/0"), elsewhere)])
    assert differences(network, found) == []
    assert differences(network, replace(found, leads_out={FOUR.packed: False})) == [
        "the container has no default route via 169.254.1.1 dev eth0, nor another way out"
    ]


def without(items: Any, index: int) -> list[Any]:
    return [item for number, item in enumerate(items) if number != index]


def replaced(items: Any, index: int, item: Any) -> list[Any]:
    return [item if number == index else old for number, old in enumerate(items)]
