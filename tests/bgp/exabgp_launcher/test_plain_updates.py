"""Which UPDATEs are plain. What they say: tests/bgp/test_update.py."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher.plain_updates import Session, is_plain
from tests.bgp.raw_peer import (
    BOTH,
    OPTIONAL,
    WELL_KNOWN,
    attribute,
    networks,
)
from tests.bgp.raw_peer import update_body as body

ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"\2\1\0\0\xfd\xe9")
NEXT_HOP = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))
MANDATORY = ORIGIN + AS_PATH + NEXT_HOP
INTERNAL, EXTERNAL = Session(external=False, ipv6=True), Session(external=True, ipv6=True)
IPV6, GLOBAL, LINK_LOCAL = b"\0\2\1", bytes([0x20, 1, *bytes(13), 2]), bytes([0xFE, 0x80, *bytes(13), 2])
NETWORKS6 = networks("fd00:65::/122", "2001:db8::1", "::/0")
NETWORKS = networks("10.65.1.0/26", "10.65.2.64/26", "192.0.2.9", "10.0.0.0/8", "0.0.0.0/0")


@pytest.mark.parametrize(
    "other",
    [
        body(),  # an end-of-RIB
        body(MANDATORY),
        body(ORIGIN + AS_PATH, NETWORKS),
        body(AS_PATH + NEXT_HOP, NETWORKS),
        body(MANDATORY + ORIGIN, NETWORKS),
        body(attribute(WELL_KNOWN, 1, b"\3") + AS_PATH + NEXT_HOP, NETWORKS),
        body(attribute(WELL_KNOWN, 1, b"\0\0") + AS_PATH + NEXT_HOP, NETWORKS),
        body(attribute(BOTH, 1, b"\0") + AS_PATH + NEXT_HOP, NETWORKS),
        body(ORIGIN + attribute(WELL_KNOWN, 2, b"\2\1\0\0\0\0") + NEXT_HOP, NETWORKS),
        body(ORIGIN + attribute(WELL_KNOWN, 2, b"\2\1\xfd\xe9") + NEXT_HOP, NETWORKS),
        body(ORIGIN + AS_PATH + attribute(WELL_KNOWN, 3, bytes(8)), NETWORKS),
        body(MANDATORY + attribute(OPTIONAL, 4, b"\0\7"), NETWORKS),
        body(MANDATORY + attribute(BOTH | 0x20, 8, bytes(4)), NETWORKS),
        body(MANDATORY + attribute(BOTH, 8, bytes(3)), NETWORKS),
        body(MANDATORY + attribute(BOTH, 8, b""), NETWORKS),
        body(MANDATORY + attribute(BOTH, 0x63, b"\1"), NETWORKS),
        body(MANDATORY + attribute(OPTIONAL, 14, bytes(5)), NETWORKS),
        body(MANDATORY, NETWORKS)[:-2],
        body(MANDATORY, b"\x21" + bytes(5)),
        body(withdrawn=b"\x18\x0a"),
        b"\0\5\0\0",
        b"\0",
    ],
)
def test_what_is_unusual_or_wrong_is_left_to_exabgp(other: bytes) -> None:
    assert is_plain(body(MANDATORY, NETWORKS), INTERNAL)
    assert not is_plain(other, INTERNAL)


def reach(next_hop: bytes = GLOBAL, prefixes: bytes = NETWORKS6, family: bytes = IPV6, flags: int = OPTIONAL) -> bytes:
    return attribute(flags, 14, family + bytes([len(next_hop)]) + next_hop + b"\0" + prefixes)


def unreach(prefixes: bytes = NETWORKS6, family: bytes = IPV6) -> bytes:
    return attribute(OPTIONAL, 15, family + prefixes)


@pytest.mark.parametrize(
    "message",
    [
        body(ORIGIN + AS_PATH + reach()),
        body(reach(GLOBAL + LINK_LOCAL) + ORIGIN + AS_PATH),
        body(ORIGIN + AS_PATH + reach(bytes(16) + LINK_LOCAL)),
        body(unreach()),
        body(ORIGIN + AS_PATH + unreach()),
        body(MANDATORY + reach() + unreach(), NETWORKS, NETWORKS),
    ],
)
def test_ipv6_is_plain_where_it_is_exchanged(message: bytes) -> None:
    assert is_plain(message, INTERNAL)
    assert not is_plain(message, Session(external=False, ipv6=False))


@pytest.mark.parametrize(
    "other",
    [
        body(unreach(b"")),  # an end-of-RIB
        body(ORIGIN + unreach(b"")),
        body(ORIGIN + AS_PATH + reach(prefixes=b"")),
        body(AS_PATH + reach()),
        body(ORIGIN + AS_PATH + reach(GLOBAL[:4])),
        body(ORIGIN + AS_PATH + reach(GLOBAL + GLOBAL)),
        body(ORIGIN + AS_PATH + reach(LINK_LOCAL + LINK_LOCAL)),
        body(ORIGIN + AS_PATH + reach(flags=BOTH)),
        body(ORIGIN + AS_PATH + reach(family=b"\0\1\1")),
        body(ORIGIN + AS_PATH + reach(family=b"\0\2\2")),
        body(ORIGIN + AS_PATH + reach() + reach()),
        body(ORIGIN + AS_PATH + reach(prefixes=b"\x81" + bytes(17))),
        body(ORIGIN + AS_PATH + reach(prefixes=NETWORKS6 + b"\x40")),
        body(unreach(NETWORKS6, b"\0\1\1")),
        body(MANDATORY + reach(), b"\x21" + bytes(5)),
    ],
)
def test_unusual_or_wrong_ipv6_is_left_to_exabgp(other: bytes) -> None:
    assert not is_plain(other, INTERNAL)


def test_prefixes_are_read_with_path_identifiers_where_they_have_them() -> None:
    message = body(MANDATORY, bytes((0, 0, 0, 7)) + networks("10.65.1.0/26"))
    both = Session(external=False, ipv6=True, path_ids=("ipv4", "ipv6"))
    assert is_plain(message, both)
    assert is_plain(body(ORIGIN + AS_PATH + reach(prefixes=bytes(4) + networks("fd00:65::/122"))), both)
    assert not is_plain(body(MANDATORY, networks("10.65.0.0/16")), both)
    assert not is_plain(body(MANDATORY, bytes(4)), both)


def test_what_only_internal_peers_may_send_is_plain_of_those_only() -> None:
    for code in (5, 9, 10):
        flags = WELL_KNOWN if code == 5 else OPTIONAL
        message = body(MANDATORY + attribute(flags, code, bytes((0, 0, 0, 9))), NETWORKS)
        assert is_plain(message, INTERNAL)
        assert not is_plain(message, EXTERNAL)
