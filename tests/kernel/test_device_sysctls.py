"""Which sysctls of a device netlink takes; that it sets what the files show is in test_links."""

from __future__ import annotations

from kernel.device_sysctls import divided
from kernel.message import attribute, attributes, nested, number, text

NAME = "cali0123456789a"


def test_what_netlink_takes_is_put_together_and_the_rest_stays() -> None:
    rest = {f"net/ipv6/conf/{NAME}/accept_ra": "0", "net/ipv4/conf/eth0/proxy_arp": "1", "net/ipv4/ip_forward": "1"}
    found = divided(7, NAME, {f"net/ipv4/conf/{NAME}/proxy_arp": "1", **rest, f"net/ipv4/conf/{NAME}/forwarding": "0"})
    assert found.rest == rest
    assert found.attributes == nested(26, nested(2, nested(1, number(3, 1), number(1, 0))))
    assert found.neighbours == b""


def test_a_delay_counts_in_hundredths_of_a_second_as_a_file_and_in_milliseconds_as_a_message() -> None:
    found = divided(7, NAME, {f"net/ipv4/neigh/{NAME}/proxy_delay": "80"})
    assert (found.attributes, found.rest) == (b"", {})
    table, (_, parameters) = attributes(found.neighbours, 4)
    assert attribute(*table) == text(1, "arp_cache")
    assert dict(attributes(parameters)) == {1: (7).to_bytes(4, "little"), 13: (800).to_bytes(8, "little")}


def test_where_there_is_nothing_for_netlink_nothing_is_said() -> None:
    assert divided(7, NAME, {}) == (b"", b"", {})
