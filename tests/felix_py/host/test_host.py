"""The host's devices, folded from one reading and from events: names, what is up, and the MTU that is left."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from felix_py.host.host import Host
from felix_py.topics import Topic
from kernel.events import AddressChanged, LinkChanged, RouteChanged
from kernel.link_codec import InterfaceAddress, Link
from kernel.route import NextHop, RouteSpec
from net.prefix import Prefix, pack

OWN = pack("192.0.2.1")
LO = Link(1, "lo", up=True, carrier=True, mtu=65536, mac=b"")
ETH0 = Link(2, "eth0", up=True, carrier=True, mtu=1500, mac=bytes(6))
ETH1 = Link(3, "eth1", up=True, carrier=True, mtu=9000, mac=bytes(6))
TUNL0 = Link(4, "tunl0", up=True, carrier=True, mtu=1480, mac=b"")
CALI0 = Link(7, "cali0", up=True, carrier=True, mtu=1400, mac=bytes(6))
ON_ETH0 = InterfaceAddress(2, OWN, 24, 2, 0)


def host(links: Iterable[Link] = (LO, ETH0), addresses: Iterable[InterfaceAddress] = (ON_ETH0,)) -> Host:
    made = Host([OWN], "cali", ["tunl0"])
    made.load(links, addresses)
    made.take_changed()
    return made


def test_a_device_that_comes_goes_or_goes_down_is_known_by_name_and_index() -> None:
    one = host()
    one.fold(LinkChanged(CALI0))
    assert (one.up["cali0"], one.names[7]) == (7, "cali0")
    one.fold(LinkChanged(replace(CALI0, up=False)))
    assert ("cali0" in one.up, one.names[7]) == (False, "cali0")
    one.fold(LinkChanged(CALI0, gone=True))
    assert 7 not in one.names


def test_a_renamed_device_is_up_under_its_new_name_only() -> None:
    one = host([CALI0])
    one.fold(LinkChanged(replace(CALI0, name="cali1")))
    assert dict(one.up) == {"cali1": 7}
    assert one.take_changed() == {"cali0", "cali1"}


def test_the_end_of_a_former_device_does_not_take_its_name_from_the_next() -> None:
    one = host([CALI0])
    one.fold(LinkChanged(replace(CALI0, index=8)))
    one.fold(LinkChanged(CALI0, gone=True))
    assert one.up["cali0"] == 8


def test_the_mapping_of_names_is_the_same_after_everything_is_read_anew() -> None:
    one = host()
    names, up = one.names, one.up
    one.load([ETH1], [])
    assert (dict(names), dict(up)) == ({3: "eth1"}, {"eth1": 3})


def test_an_attached_pods_device_is_known_before_its_event() -> None:
    one = host()
    one.attached("cali0", 7)
    assert (one.up["cali0"], one.names[7]) == (7, "cali0")


def test_a_pods_device_concerns_pods_alone() -> None:
    assert host().fold(LinkChanged(CALI0)) == Topic.PODS


def test_a_pods_device_from_before_the_setting_changed_concerns_pods_alone() -> None:
    labelled = replace(CALI0, name="fx0", mtu=900, alias="felix pods c1 eth0")
    assert host().fold(LinkChanged(labelled)) == Topic.PODS
    routed = Host([pack("127.0.0.1")], "cali")
    routed.load([LO, ETH0, labelled], [])
    assert routed.mtu == ETH0.mtu, "packets to others leave by none of pods' devices"


def test_the_events_of_a_pod_that_was_just_attached_concern_nothing() -> None:
    one = host()
    one.attached("cali0", 7)
    assert one.fold(LinkChanged(replace(CALI0, carrier=False))) == Topic.NOTHING
    assert one.fold(LinkChanged(CALI0)) == Topic.NOTHING
    assert one.take_changed() == set()


def test_a_pods_device_stays_one_when_it_is_put_out_of_the_way() -> None:
    one = host([LO, ETH0, CALI0])
    retired = replace(CALI0, name="felix7", up=False)
    assert one.fold(LinkChanged(retired)) == Topic.PODS
    assert one.fold(LinkChanged(retired, gone=True)) == Topic.NOTHING
    assert one.fold(LinkChanged(replace(ETH1, index=7))) & Topic.NEXT_HOPS


@pytest.mark.parametrize(
    ("destination", "device", "is_way"),
    [
        ("fe80::/64", CALI0.index, False),
        ("fe80::/64", ETH0.index, True),
        ("2001:db8::/64", CALI0.index, True),
        ("0.0.0.0/0", ETH0.index, True),
    ],
)
def test_a_route_is_a_way_unless_it_comes_and_goes_with_a_pods_device(
    destination: str, device: int, is_way: bool
) -> None:
    one = host([LO, ETH0, CALI0])
    spec = RouteSpec(2, 256, hops=(NextHop(device),))
    for gone in (False, True):
        assert one.is_way(RouteChanged(Prefix.parse(destination), spec, gone)) == is_way
    assert one.is_way(RouteChanged(Prefix.parse(destination), spec._replace(hops=())))


def test_a_device_of_the_host_concerns_next_hops_when_it_comes_goes_or_changes_carrier() -> None:
    one = host()
    assert one.fold(LinkChanged(ETH1)) & Topic.NEXT_HOPS
    assert not one.fold(LinkChanged(replace(ETH1, mtu=1280))) & Topic.NEXT_HOPS
    assert one.fold(LinkChanged(replace(ETH1, carrier=False))) & Topic.NEXT_HOPS
    assert one.fold(LinkChanged(ETH1, gone=True)) & Topic.NEXT_HOPS


def test_an_address_concerns_next_hops_and_on_a_tunnels_device_the_tunnel() -> None:
    one = host([ETH0, TUNL0])
    assert (
        one.fold(AddressChanged(InterfaceAddress(2, pack("198.51.100.1"), 24, 2, 0)))
        == Topic.NEXT_HOPS | Topic.ADDRESSES
    )
    on_tunnel = AddressChanged(InterfaceAddress(4, pack("10.65.1.9"), 32, 2, 0), gone=True)
    assert one.fold(on_tunnel) == Topic.NEXT_HOPS | Topic.ADDRESSES | Topic.TUNNEL_DEVICES | Topic.HELD


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "fd00::1"])
def test_an_address_that_goes_may_take_routes_along_without_an_event(address: str) -> None:
    found = InterfaceAddress(2, pack(address), 24, 2, 0)
    assert not host([ETH0]).fold(AddressChanged(found)) & Topic.HELD
    assert host([ETH0]).fold(AddressChanged(found, gone=True)) & Topic.HELD


def test_the_last_ipv4_address_of_a_pods_device_takes_the_pods_route_along_and_its_ipv6_ones_go_with_it() -> None:
    one = host([ETH0, CALI0])
    last = InterfaceAddress(CALI0.index, pack("169.254.1.1"), 32, 2, 253)
    assert one.fold(AddressChanged(last, gone=True)) & Topic.HELD
    link_local = InterfaceAddress(CALI0.index, pack("fe80::1"), 64, 10, 253)
    assert not one.fold(AddressChanged(link_local, gone=True)) & Topic.HELD


def test_the_addresses_of_devices_that_are_down_are_none_to_be_reached_by() -> None:
    down, elsewhere = replace(ETH1, up=False), InterfaceAddress(3, pack("198.51.100.1"), 24, 2, 0)
    assert host([ETH0, down], [ON_ETH0, elsewhere]).addresses_up == {OWN}


def test_the_link_local_address_that_each_pods_device_gets_concerns_nothing() -> None:
    one, on_pod = host([ETH0, CALI0]), InterfaceAddress(CALI0.index, pack("fe80::1"), 64, 10, 253)
    assert [one.fold(AddressChanged(on_pod, gone)) for gone in (False, True)] == [Topic.NOTHING, Topic.NOTHING]
    assert one.fold(AddressChanged(replace(on_pod, index=ETH0.index))) == Topic.NEXT_HOPS


def test_an_ipv6_link_local_address_that_goes_with_its_device_costs_no_reading() -> None:
    link_local = InterfaceAddress(ETH0.index, pack("fe80::1"), 64, 10, 253)
    assert not host([ETH0]).fold(AddressChanged(link_local, gone=True)) & Topic.HELD


def test_a_device_that_goes_down_or_away_takes_routes_along_if_it_was_up() -> None:
    down, without_carrier = replace(ETH0, up=False, carrier=False), replace(ETH0, carrier=False)
    assert host([ETH0]).takes_routes_along(LinkChanged(down))
    assert host([ETH0]).takes_routes_along(LinkChanged(ETH0, gone=True))
    assert not host([ETH0]).takes_routes_along(LinkChanged(without_carrier))  # the kernel keeps them
    assert not host([down]).takes_routes_along(LinkChanged(down, gone=True))
    assert not host([ETH0]).takes_routes_along(LinkChanged(replace(ETH1, up=False)))
    for event in (LinkChanged(down), LinkChanged(without_carrier), LinkChanged(ETH0, gone=True)):
        assert not host([ETH0]).fold(event) & Topic.HELD  # which routes went is known: no dump is due


def test_a_tunnels_device_concerns_the_tunnel() -> None:
    assert host([ETH0, TUNL0]).fold(LinkChanged(replace(TUNL0, up=False))) & Topic.TUNNEL_DEVICES


def test_the_mtu_is_that_of_the_device_with_the_nodes_address() -> None:
    assert host([LO, ETH0, ETH1]).mtu == 1500


def test_of_two_devices_with_the_nodes_addresses_the_smaller_mtu_counts() -> None:
    both = Host([OWN, pack("fd00::1")], "cali")
    both.load([ETH0, ETH1], [ON_ETH0, InterfaceAddress(3, pack("fd00::1"), 64, 10, 0)])
    assert both.mtu == 1500


def test_a_changed_uplink_changes_the_mtu_and_says_so() -> None:
    one = host()
    assert one.fold(LinkChanged(replace(ETH0, mtu=9000))) & Topic.MTU
    assert one.mtu == 9000
    assert not one.fold(LinkChanged(replace(ETH0, mtu=9000))) & Topic.MTU


def test_an_address_that_moves_to_another_device_takes_the_mtu_along() -> None:
    one = host([LO, ETH0, ETH1])
    assert one.fold(AddressChanged(replace(ON_ETH0, index=3))) == Topic.NEXT_HOPS | Topic.ADDRESSES
    gone = one.fold(AddressChanged(ON_ETH0, gone=True))
    assert gone == Topic.NEXT_HOPS | Topic.ADDRESSES | Topic.MTU | Topic.HELD
    assert one.mtu == 9000


def test_a_node_that_takes_an_address_of_another_device_has_that_ones_mtu() -> None:
    other = InterfaceAddress(3, pack("198.51.100.1"), 24, 2, 0)
    one = host([LO, ETH0, ETH1], [ON_ETH0, other])
    assert one.owns([other.address]) == Topic.MTU
    assert (one.mtu, one.owns([other.address])) == (9000, Topic.NOTHING)


@pytest.mark.parametrize("excluded", [CALI0, TUNL0, replace(CALI0, name="docker0"), replace(ETH0, up=False, mtu=1280)])
def test_a_node_whose_address_is_on_its_loopback_sends_by_any_other_device_that_is_up(excluded: Link) -> None:
    assert host([LO, ETH1, excluded], [InterfaceAddress(1, OWN, 32, 2, 0)]).mtu == 9000


def test_without_any_device_the_mtu_is_ethernets() -> None:
    assert host([], []).mtu == 1500


links = st.builds(
    Link,
    index=st.integers(1, 5),
    name=st.sampled_from(["lo", "eth0", "eth1", "tunl0", "cali0", "cali1"]),
    up=st.booleans(),
    carrier=st.booleans(),
    mtu=st.sampled_from([1400, 1500, 9000]),
    mac=st.just(b""),
)
addresses = st.builds(
    InterfaceAddress, st.integers(1, 5), st.sampled_from([OWN, pack("192.0.2.9")]), st.just(24), st.just(2), st.just(0)
)
events = st.lists(
    st.one_of(st.builds(LinkChanged, links, st.booleans()), st.builds(AddressChanged, addresses, st.booleans()))
)


@given(events)
def test_event_by_event_is_what_one_reading_at_the_end_shows(history: list[LinkChanged | AddressChanged]) -> None:
    """As in a kernel, where a name and an index are one device's, and addresses go with their device."""
    there: dict[int, Link] = {}
    has: set[InterfaceAddress] = set()
    one = host([], [])
    for event in history:
        match event:
            case LinkChanged(link, gone):
                if any(other.name == link.name and other.index != link.index for other in there.values()):
                    continue
                before = there.pop(link.index, None)
                if before is not None and one.is_pods(before) and not one.is_pods(link):
                    there[link.index] = before  # a pod's device stays one, whatever it is renamed to: see above
                    continue
                if gone:
                    has = {address for address in has if address.index != link.index}
                else:
                    there[link.index] = link
            case AddressChanged(address, gone):
                if address.index not in there:
                    continue
                has = has - {address} if gone else has | {address}
        one.fold(event)
    anew = host(there.values(), has)
    assert (dict(one.up), dict(one.names), one.mtu) == (dict(anew.up), dict(anew.names), anew.mtu)


def test_the_hosts_own_addresses_are_those_that_are_not_on_a_pods_device() -> None:
    on_pod = InterfaceAddress(7, pack("169.254.1.1"), 32, 2, 253)
    one = host((LO, ETH0, CALI0), (ON_ETH0, on_pod))
    assert one.addresses == [ON_ETH0]
    one.fold(AddressChanged(ON_ETH0, gone=True))
    assert one.addresses == []
