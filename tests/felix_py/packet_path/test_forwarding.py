"""Only the families that pods use, and no default route that was learned is lost."""

from __future__ import annotations

from felix_py.packet_path.forwarding import forwarding

ACCEPT_RA = {
    "net/ipv6/conf/eth0/accept_ra": "1",
    "net/ipv6/conf/eth1/accept_ra": "0",
    "net/ipv6/conf/lo/accept_ra": "2",
}


def test_no_sysctl_is_set_of_a_family_that_pods_do_not_use() -> None:
    assert forwarding((), ACCEPT_RA) == {}
    assert forwarding((4,), ACCEPT_RA) == {"net/ipv4/ip_forward": "1"}


def test_a_host_that_is_to_forward_ipv6_goes_on_learning_from_its_routers() -> None:
    assert list(forwarding((6,), ACCEPT_RA).items()) == [
        ("net/ipv6/conf/eth0/accept_ra", "2"),
        ("net/ipv6/conf/all/forwarding", "1"),
    ]
