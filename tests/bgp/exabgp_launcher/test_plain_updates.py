"""Which UPDATEs are plain. What they say: tests/bgp/test_update.py."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher.plain_updates import is_plain
from tests.bgp.raw_peer import BOTH, OPTIONAL, WELL_KNOWN, attribute, networks
from tests.bgp.raw_peer import update_body as body

ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"\2\1\0\0\xfd\xe9")
NEXT_HOP = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))
MANDATORY = ORIGIN + AS_PATH + NEXT_HOP
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
    assert is_plain(body(MANDATORY, NETWORKS), external=False)
    assert not is_plain(other, external=False)


def test_what_only_internal_peers_may_send_is_plain_of_those_only() -> None:
    for code in (5, 9, 10):
        flags = WELL_KNOWN if code == 5 else OPTIONAL
        message = body(MANDATORY + attribute(flags, code, bytes((0, 0, 0, 9))), NETWORKS)
        assert is_plain(message, external=False)
        assert not is_plain(message, external=True)
