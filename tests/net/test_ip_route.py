"""A route to be shown is written as `ip route add` takes it."""

from __future__ import annotations

import pytest

from net.ip_route import IpHop, IpRoute
from net.prefix import Prefix

BLOCK, SIX = Prefix.parse("10.65.2.64/26"), Prefix.parse("fd00::40/122")


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (IpRoute(BLOCK, hops=(IpHop("eth0", "192.0.2.2"),), protocol=81, metric=1030),
         "10.65.2.64/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"),
        (IpRoute(Prefix.host("10.65.1.2"), hops=(IpHop("cali1"),), protocol=80, link_scope=True),
         "10.65.1.2/32 dev cali1 proto 80 scope link"),
        (IpRoute(BLOCK, "blackhole", protocol=80, metric=1030), "blackhole 10.65.2.64/26 proto 80 metric 1030"),
        (IpRoute(BLOCK, hops=(IpHop("tunl0", "192.0.2.2", onlink=True),), protocol=80),
         "10.65.2.64/26 via 192.0.2.2 dev tunl0 proto 80 onlink"),
        (IpRoute(BLOCK, hops=(IpHop("eth0", "fe80::1"),), protocol=81, source="192.0.2.1", mtu=1400),
         "10.65.2.64/26 via inet6 fe80::1 dev eth0 proto 81 src 192.0.2.1 mtu 1400"),
        (IpRoute(SIX, hops=(IpHop("eth0", "2001:db8::2"),), protocol=81),
         "fd00::40/122 via 2001:db8::2 dev eth0 proto 81"),
        (IpRoute(BLOCK, hops=(IpHop("eth0", "192.0.2.2", weight=1), IpHop("eth1", "192.0.2.3", weight=2)), protocol=81),
         "10.65.2.64/26 proto 81 nexthop via 192.0.2.2 dev eth0 weight 1 nexthop via 192.0.2.3 dev eth1 weight 2"),
    ],
)  # fmt: skip
def test_a_route_is_written_as_ip_route_takes_it(route: IpRoute, text: str) -> None:
    assert str(route) == text
    assert route.without_prefix == text.replace(f"{route.prefix} ", "", 1)


def test_a_next_hop_of_the_other_family_is_named_with_its_family() -> None:
    assert IpHop("eth0", "192.0.2.2").text(6) == "via inet 192.0.2.2 dev eth0"
    assert IpHop("eth0", "fe80::1").text(4) == "via inet6 fe80::1 dev eth0"


def test_the_device_and_the_gateway_are_those_of_the_first_hop_and_may_be_absent() -> None:
    several = IpRoute(BLOCK, hops=(IpHop("eth0", "192.0.2.2"), IpHop("eth1", "192.0.2.3")))
    assert (several.device, several.gateway) == ("eth0", "192.0.2.2")
    assert (IpRoute(BLOCK, "blackhole").device, IpRoute(BLOCK, "blackhole").gateway) == ("", "")


@pytest.mark.parametrize(
    ("kind", "forwards"), [("unicast", True), ("local", True), ("blackhole", False), ("unreachable", False)]
)
def test_a_kind_that_drops_does_not_forward(kind: str, forwards: bool) -> None:
    assert IpRoute(BLOCK, kind).forwards == forwards
