"""Which UPDATEs are usual. That each is plain: tests/bgp/test_update.py holds both to one answer."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher.usual_updates import COMMUNITIES, LOCAL_PREF, MED, NEXT_HOP, usual
from tests.bgp.raw_peer import BOTH, EXTENDED, OPTIONAL, WELL_KNOWN, attribute, networks
from tests.bgp.raw_peer import update_body as body

NETWORKS = networks("10.65.1.0/26", "10.65.2.0/24", "192.0.2.9", "10.0.0.0/8", "10.64.0.0/10", "0.0.0.0/0")
ORIGIN, EMPTY_PATH = attribute(WELL_KNOWN, 1, b"\2"), attribute(WELL_KNOWN, 2, b"")
TO_PEER = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))


def path(*numbers: int, kind: int = 2) -> bytes:
    return attribute(WELL_KNOWN, 2, bytes([kind, len(numbers)]) + b"".join(each.to_bytes(4) for each in numbers))


def test_what_bird_and_exabgp_send_of_a_block_is_usual() -> None:
    med, preference = attribute(OPTIONAL, 4, b"\0\0\0\7"), attribute(WELL_KNOWN, 5, b"\0\0\0\x64")
    communities = attribute(BOTH, 8, b"\xfd\xe9\0\1\xfd\xe9\0\2")
    for as_path in (EMPTY_PATH, path(65001), path(*range(65001, 65009))):
        assert usual(body(ORIGIN + as_path + TO_PEER, NETWORKS))
        found = usual(body(ORIGIN + as_path + TO_PEER + med + preference + communities, NETWORKS))
        assert found is not None
        assert found.group(NEXT_HOP, MED, LOCAL_PREF) == (bytes((192, 0, 2, 2)), b"\0\0\0\7", b"\0\0\0\x64")
        assert found[COMMUNITIES] == b"\x08\xfd\xe9\0\1\xfd\xe9\0\2"


@pytest.mark.parametrize(
    "other",
    [
        body(),
        body(ORIGIN + EMPTY_PATH + TO_PEER),
        body(ORIGIN + EMPTY_PATH + TO_PEER, NETWORKS, withdrawn=NETWORKS),
        body(ORIGIN + EMPTY_PATH + TO_PEER, NETWORKS)[:-2],
        body(ORIGIN + EMPTY_PATH + TO_PEER, NETWORKS + b"\x21\0\0\0\0\0"),
        body(EMPTY_PATH + ORIGIN + TO_PEER, NETWORKS),
        body(ORIGIN + ORIGIN + EMPTY_PATH + TO_PEER, NETWORKS),
        body(attribute(WELL_KNOWN, 1, b"\3") + EMPTY_PATH + TO_PEER, NETWORKS),
        body(ORIGIN + path(65001, 0) + TO_PEER, NETWORKS),
        body(ORIGIN + path(65001, kind=1) + TO_PEER, NETWORKS),
        body(ORIGIN + path(65001)[:-4] + TO_PEER, NETWORKS),
        body(ORIGIN + attribute(WELL_KNOWN | EXTENDED, 2, b"") + TO_PEER, NETWORKS),
        body(ORIGIN + EMPTY_PATH + TO_PEER + attribute(BOTH, 8, b""), NETWORKS),
        body(ORIGIN + EMPTY_PATH + TO_PEER + attribute(BOTH, 0x63, b"\1"), NETWORKS),
        # The length takes in a network of what is announced, or leaves out an attribute.
        b"\0\0\0\x0f" + ORIGIN + EMPTY_PATH + TO_PEER + b"\0" + NETWORKS,
        b"\0\0\0\x07" + ORIGIN + EMPTY_PATH + TO_PEER + NETWORKS,
    ],
)
def test_what_is_otherwise_is_not_usual(other: bytes) -> None:
    assert usual(other) is None
