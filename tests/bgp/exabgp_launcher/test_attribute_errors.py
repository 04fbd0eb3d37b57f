"""Attributes as RFC 7606 has them: tests/scenarios/test_bgp_malformed_updates.py has each of them."""

from __future__ import annotations

import pytest

from bgp.exabgp_launcher import attribute_errors
from tests.bgp.exabgp_launcher.in_python import patched
from tests.bgp.raw_peer import BOTH, OPTIONAL, WELL_KNOWN, attribute

ORIGIN, AS_PATH = attribute(WELL_KNOWN, 1, b"\0"), attribute(WELL_KNOWN, 2, b"")
NEXT_HOP = attribute(WELL_KNOWN, 3, bytes((192, 0, 2, 2)))
INTERNAL = {"external": False, "four_octets": True}


@pytest.mark.parametrize(
    ("attributes", "kept", "wrong"),
    [
        (ORIGIN + AS_PATH + NEXT_HOP, ORIGIN + AS_PATH + NEXT_HOP, None),
        (ORIGIN + NEXT_HOP, ORIGIN + NEXT_HOP, 2),
        (ORIGIN, ORIGIN, None),  # it announces nothing
        (AS_PATH + ORIGIN + attribute(WELL_KNOWN, 2, b"\2\1\0\0\0\7"), AS_PATH + ORIGIN, None),
        (attribute(WELL_KNOWN | 0x20, 2, b""), AS_PATH, None),
        (attribute(BOTH, 17, b"\2\1\0\0\0\7"), b"", None),
        (attribute(BOTH, 1, b"\0"), attribute(BOTH, 1, b"\0"), 1),
        (b"\xd0\x08\0", b"\xd0\x08\0", None),  # cut: ExaBGP's to judge
    ],
)
def test_what_counts_of_an_updates_attributes(attributes: bytes, kept: bytes, wrong: int | None) -> None:
    assert attribute_errors.sorted_out(attributes, **INTERNAL) == (kept, wrong)


def test_what_only_internal_or_two_octet_peers_may_send_does_not_count_of_others() -> None:
    internal = attribute(WELL_KNOWN, 5, bytes(4)) + attribute(OPTIONAL, 9, bytes(4)) + attribute(OPTIONAL, 10, b"\7")
    assert attribute_errors.sorted_out(internal, **INTERNAL) == (internal, None)
    assert attribute_errors.sorted_out(internal, external=True, four_octets=True) == (b"", None)
    old = attribute(BOTH, 17, b"\2\1\0\0\0\7") + attribute(BOTH, 18, bytes(8))
    assert attribute_errors.sorted_out(old, external=False, four_octets=False) == (old, None)


def test_no_bytes_in_an_attribute_end_a_session_unless_it_holds_prefixes() -> None:
    done = patched("""
import random
from collections import defaultdict
from types import SimpleNamespace
from exabgp.bgp.message import Update
from exabgp.bgp.message.direction import Direction
from exabgp.environment import getenv
from exabgp.logger import log
log.init(getenv())
chosen = random.Random(7606)
for number in range(5000):
    negotiated = SimpleNamespace(
        local_as=64512, peer_as=chosen.choice((64512, 65001)), asn4=chosen.random() < 0.5, families=[(1, 1), (2, 1)],
        addpath=SimpleNamespace(receive=lambda afi, safi: False), nexthop=[], neighbor=defaultdict(bool),
        cached_attributes=None, cached_wire=b"", aigp=True,
    )
    data = bytes.fromhex("40010100" "4002060201" "0000fde9" "400304c0000201")
    for _ in range(chosen.randint(1, 3)):
        code = chosen.choice([each for each in range(42) if each not in (14, 15)] + [128, 255])
        value = chosen.randbytes(chosen.choice((0, 1, 2, 3, 4, 5, 6, 8, 9, 12, 20, 24, 40)))
        data += bytes([chosen.randrange(256) & ~16, code, len(value)]) + value
    body = bytes(2) + len(data).to_bytes(2) + data + bytes.fromhex("18cb0071")
    update = Update.unpack_message(body, Direction.IN, negotiated)
    assert update.attributes.json(), body.hex()
""")
    assert (done.returncode, done.stderr) == (0, "")
