"""What is listed of a kernel without the programs for it, in a namespace."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from felixctl.node.kernel_tables import listed
from kernel.netns import inside
from tests.kernel.netns import Namespace, namespace


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    with namespace("tables") as host:
        host.batch(
            "link set lo up\n"
            "link add eth0 address 02:00:00:00:00:01 type veth peer name far\n"
            "link set eth0 up mtu 1400\n"
            "link set far up\n"
            "addr add 192.0.2.1/24 dev eth0\n"
            "addr add 2001:db8::1/64 dev eth0 nodad\n"
            "route add 10.65.2.0/26 via 192.0.2.2 proto 81 metric 1030\n"
            "route add blackhole 10.65.3.0/26 table 100\n"
            "rule add from 10.65.0.0/16 lookup 100 priority 50\n"
            "neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent\n"
        )
        host.run("nft", "add table ip t; add chain ip t c { type filter hook forward priority 0; policy drop; }")
        host.run("nft", "add rule ip t c ip saddr 10.65.0.0/16 accept")
        host.run("nft", "add chain ip t out { type nat hook postrouting priority 100; }")
        host.run("nft", "add rule ip t out ip saddr 10.65.0.0/16 masquerade")
        yield host


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("links", "eth0 veth up mtu 1400 02:00:00:00:00:01 peer if"),
        ("addresses", "192.0.2.1/24 dev eth0 scope 0"),
        ("addresses", "2001:db8::1/64 dev eth0 scope 0"),
        ("routes-ipv4", "10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030 table 254"),
        ("routes-ipv4", "blackhole 10.65.3.0/26 proto 3 table 100"),
        ("routes-ipv4", "local 192.0.2.1/32 dev eth0 proto 2 src 192.0.2.1 table 255"),
        ("routes-ipv4", "broadcast 192.0.2.255/32 dev eth0 proto 2"),
        ("routes-ipv6", "local 2001:db8::1/128 dev eth0 proto 2"),
        ("routes-ipv6", "2001:db8::/64 dev eth0 proto 2 metric 256 table 254"),
        ("rules", "IPv4 50: from 10.65.0.0/16 lookup 100"),
        ("rules", "IPv6 32766: from all lookup main"),
        ("neighbours", "192.0.2.2 dev eth0 lladdr 02:00:00:00:00:02 permanent"),
        ("nftables", "nft table ip t chain c hook forward priority 0 policy drop"),
        ("nftables", "saddr 10.65.0.0/16 accept"),
        ("nftables", "nft table ip t chain out hook postrouting priority 100 policy accept"),
        ("nftables", "saddr 10.65.0.0/16 accept (masq)"),
    ],
)
def test_each_table_is_listed(host: Namespace, table: str, line: str) -> None:
    with inside(host.descriptor):
        found = listed(table)
    assert line in found


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_listens_is_listed(host: Namespace, family: socket.AddressFamily, address: str) -> None:
    with inside(host.descriptor), socket.create_server((address, 179), family=family):
        found = listed("sockets")
    assert f"LISTEN {address} port 179\n" in found
