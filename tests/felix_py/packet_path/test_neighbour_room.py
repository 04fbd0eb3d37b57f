"""How many neighbours a node needs, beside how many its kernel keeps."""

from __future__ import annotations

from felix_py.packet_path.neighbour_room import SYSCTLS, NeighbourRoom, too_small
from kernel.link_codec import InterfaceAddress
from net.prefix import pack

ETH0 = [InterfaceAddress(2, pack("192.0.2.1"), 24, 2, 0), InterfaceAddress(2, pack("2001:db8::1"), 64, 10, 0)]
PODS = [pack("10.65.0.1"), pack("10.65.0.2"), pack("fd65::1")]
NEAR = [pack("192.0.2.2"), pack("192.0.2.3"), pack("2001:db8::2")]
FAR = [pack("198.51.100.2"), pack("198.51.100.3")]


def limits(ipv4: int, ipv6: int = 1024) -> dict[str, str]:
    return {SYSCTLS[4]: str(ipv4), SYSCTLS[16]: str(ipv6)}


def test_peers_on_a_link_and_pods_are_counted_each_family_by_itself() -> None:
    assert list(too_small(limits(3), NEAR, PODS, ETH0)) == [NeighbourRoom("net.ipv4.neigh.default.gc_thresh3", 3, 4)]
    assert list(too_small(limits(1024, 1), NEAR, PODS, ETH0)) == [
        NeighbourRoom("net.ipv6.neigh.default.gc_thresh3", 1, 2)
    ]
    assert list(too_small(limits(4, 2), NEAR, PODS, ETH0)) == []


def test_peers_behind_a_router_need_no_neighbour_but_that() -> None:
    assert list(too_small(limits(4), [*NEAR, *FAR], PODS, ETH0)) == []


def test_where_the_machine_does_not_show_its_limits_nothing_is_said() -> None:
    assert list(too_small({}, NEAR, PODS, ETH0)) == []
