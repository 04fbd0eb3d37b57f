"""Rules of nftables as values; nft itself has written them."""

from __future__ import annotations

import pytest

from kernel.nftables_codec import decode_chain, decode_elements
from tests.kernel.netns import namespace
from tests.kernel.test_nftables import nft, read


def rules(text: str, sets: str = "", family: str = "inet", hook: str = "forward") -> list[str]:
    """Return what one rule of nft is read as."""
    head = f" type filter hook {hook} priority 0\n"
    script = f"table {family} f {{\n{sets} chain own {{\n }}\n chain forward {{\n{head} {text}\n }}\n}}\n"
    with namespace("codec") as here:
        nft(here, script)
        return [str(rule) for rule in read(here)[f"{family} f forward"].rules]


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("drop", ["drop"]),
        ('counter log prefix "x" drop', ["drop"]),
        ("reject with icmpx admin-prohibited", ["reject"]),
        ("ip saddr 10.0.0.0/8 accept", ["nfproto ipv4 saddr 10.0.0.0/8 accept"]),
        ("ip saddr 10.65.0.0/18 accept", ["nfproto ipv4 saddr 10.65.0.0/18 accept"]),
        ("ip daddr != 10.65.1.1 drop", ["nfproto ipv4 daddr != 10.65.1.1 drop"]),
        ("ip6 saddr fd00::/8 drop", ["nfproto ipv6 saddr fd00::/8 drop"]),
        ("ip6 saddr fd00:65::/64 drop", ["nfproto ipv6 saddr fd00:65::/64 drop"]),
        ("ip protocol tcp drop", ["nfproto ipv4 l4proto tcp drop"]),
        ("tcp dport 179 drop", ["l4proto tcp dport 179 drop"]),
        ("tcp dport { 22, 80-90 } accept", ["l4proto tcp dport {22, 80-90} accept"]),
        ("tcp dport != { 22, 80-90 } drop", ["l4proto tcp dport != {22, 80-90} drop"]),
        ("tcp sport > 1024 accept", ["l4proto tcp sport != 0-1024 accept"]),
        ('iifname "cali*" accept', ['iifname "cali*" accept']),
        ('iifname { "eth0", "eth1" } accept', ['iifname {"eth0", "eth1"} accept']),
        ("iif lo accept", ['iifname "lo" accept']),
        ("ct state established,related accept", ["ct state established,related accept"]),
        ("ct state new drop", ["ct state new drop"]),
        ("ct status dnat accept", ["ct status dnat accept"]),
        ("ct direction reply accept", ["(ct key 1: not read) accept"]),
        (
            "ct state vmap { established : accept, invalid : drop, new : jump own }",
            ["ct state invalid drop", "ct state established accept", "ct state new jump own"],
        ),
        ("meta mark and 0x4000 == 0x4000 accept", ["mark 0x4000 accept"]),
        ("fib saddr . iif oif missing drop", ["(fib: not read) drop"]),
        ("limit rate 5/second accept", ["(limit: not read) accept"]),
        ("ip saddr . tcp dport { 10.0.0.1 . 80 } drop", ["nfproto ipv4 l4proto tcp (a concatenation: not read) drop"]),
        ("goto own", ["goto own"]),
    ],
)
def test_a_rule_is_read_as_nft_wrote_it(text: str, read_as: list[str]) -> None:
    assert sorted(rules(text)) == sorted(read_as)


def test_a_named_set_of_networks_is_one_of_ranges() -> None:
    networks = " set s {\n type ipv4_addr\n flags interval\n elements = { 10.1.0.0/16, 10.65.0.0-10.65.3.255 }\n }\n"
    assert rules("ip saddr @s drop", networks, "ip") == ["saddr {10.1.0.0-10.1.255.255, 10.65.0.0-10.65.3.255} drop"]


def test_a_set_that_reaches_to_the_last_address_is_closed() -> None:
    networks = " set s {\n type ipv4_addr\n flags interval\n elements = { 240.0.0.0-255.255.255.255 }\n }\n"
    assert rules("ip saddr @s drop", networks, "ip") == ["saddr 240.0.0.0-255.255.255.255 drop"]


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("ip daddr 10.65.85.0/26 drop", ["ethertype 0x0800 daddr 10.65.85.0/26 drop"]),
        ("ip6 daddr fd00:65::1 drop", ["ethertype 0x86dd daddr fd00:65::1 drop"]),
        ("tcp dport 179 drop", ["l4proto tcp dport 179 drop"]),
        ("ether type ip drop", ["(meta key 8: not read) ethertype 0x0800 drop"]),
        ("ether saddr 02:00:00:00:00:01 drop", ["(meta key 8: not read) (link header, byte 6: not read) drop"]),
    ],
)
def test_a_rule_of_a_device_is_read_as_nft_wrote_it(text: str, read_as: list[str]) -> None:
    assert rules(text, family="netdev", hook="ingress device lo") == read_as


def test_chains_that_see_no_routed_packets_are_none() -> None:
    assert decode_chain(bytes([3, 0, 0, 0])) is None, "arp"
    assert decode_elements([]) == []
