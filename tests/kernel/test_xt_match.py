"""Matches of iptables as conditions."""

from __future__ import annotations

import struct

import pytest

from kernel.xt_match import action_of, conditions_of
from net.packet_filter import Action


def text(name: str, revision: int, info: bytes) -> str:
    return " ".join(map(str, conditions_of(name, revision, info)))


CONNTRACK = bytes(146) + struct.pack("=HHHH", 1, 0, 2 | 4, 0)


@pytest.mark.parametrize(
    ("name", "revision", "info", "expected"),
    [
        ("comment", 0, b"any words", ""),
        ("conntrack", 3, CONNTRACK + bytes(10), "ct state established,related"),
        ("conntrack", 3, bytes(146) + struct.pack("=HHHH", 1, 1, 8, 0), "ct state != new"),
        ("conntrack", 3, bytes(146) + struct.pack("=HHHH", 3, 0, 8, 0), "(-m conntrack: not read)"),
        ("state", 0, struct.pack("=I", 8), "ct state new"),
        ("mark", 1, struct.pack("=IIB", 0x4000, 0x4000, 0), "mark 0x4000"),
        ("tcp", 0, struct.pack("=HHHHBBBB", 0, 65535, 179, 179, 0, 0, 0, 0), "dport 179"),
        ("tcp", 0, struct.pack("=HHHHBBBB", 1, 9, 80, 90, 0, 0, 0, 2), "sport 1-9 dport != 80-90"),
        ("tcp", 0, struct.pack("=HHHHBBBB", 0, 65535, 0, 65535, 0, 2, 2, 0), "(TCP flags or options: not read)"),
        ("udp", 0, struct.pack("=HHHHB", 0, 65535, 53, 53, 0), "dport 53"),
        (
            "multiport",
            1,
            struct.pack("=BB15H15BB", 1, 3, 80, 90, 99, *[0] * 12, 0, 1, *[0] * 13, 0),
            "dport {80, 90-99}",
        ),
        ("addrtype", 1, bytes(8), "(-m addrtype: not read)"),
        ("tcp", 0, b"", "(-m tcp: not read)"),
    ],
)
def test_a_match_becomes_conditions_or_one_that_is_not_read(
    name: str, revision: int, info: bytes, expected: str
) -> None:
    assert text(name, revision, info) == expected


def test_targets_drop_accept_go_on_or_are_not_read() -> None:
    wanted = {"REJECT": Action.REJECT, "LOG": Action.CONTINUE, "MASQUERADE": Action.ACCEPT, "NFQUEUE": Action.UNREAD}
    assert {name: action_of(name) for name in wanted} == wanted
