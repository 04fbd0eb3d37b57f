"""The filter's program, run by a small interpreter of classic BPF; what the kernel makes of it is in test_rtnetlink."""

from __future__ import annotations

import struct

import pytest

from kernel.message import HEADER, REPLACE
from kernel.route import DELETE_ROUTE, NEW_ROUTE
from kernel.socket_filter import events_filter

OWN, FOREIGN = (4711, 4712), 99
NEW_LINK = 16


def accepts(program: bytes, packet: bytes) -> bool:
    """Run a program of loads, jumps and returns over one packet (linux/filter.h)."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, loaded = 0, 0
    while True:
        operation, if_true, if_false, operand = instructions[at]
        at += 1
        match operation:
            case 0x20:  # load a word
                loaded = int.from_bytes(packet[operand : operand + 4])
            case 0x28:  # load half a word
                loaded = int.from_bytes(packet[operand : operand + 2])
            case 0x30:  # load a byte
                loaded = packet[operand]
            case 0x15:  # jump if equal
                at += if_true if loaded == operand else if_false
            case 0x45:  # jump if any bit is set
                at += if_true if loaded & operand else if_false
            case 0x06:  # return how many bytes pass
                return bool(operand)
            case unknown:
                raise AssertionError(f"instruction {unknown:#x}")


def in_table(number: int) -> bytes:
    return struct.pack("=BBBBBBBBI", 2, 32, 0, 0, number, 80, 253, 1, 0)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("port", [*OWN, FOREIGN])
@pytest.mark.parametrize(
    ("kind", "flags", "own_passes"),
    [(NEW_ROUTE, 0, False), (NEW_ROUTE, REPLACE, True), (DELETE_ROUTE, 0, False), (NEW_LINK, 0, True)],
)
def test_of_our_own_route_events_only_replacements_pass(
    count: int, port: int, kind: int, flags: int, own_passes: bool
) -> None:
    ports = OWN[:count]
    packet = HEADER.pack(28, kind, flags, 1, port) + in_table(254)
    assert accepts(events_filter(ports), packet) == (own_passes or port not in ports)


@pytest.mark.parametrize("port", [OWN[0], FOREIGN])
@pytest.mark.parametrize("kind", [NEW_ROUTE, DELETE_ROUTE])
@pytest.mark.parametrize("table", [0, 252, 253, 255])
def test_no_event_of_another_table_passes(port: int, kind: int, table: int) -> None:
    assert not accepts(events_filter(OWN), HEADER.pack(28, kind, REPLACE, 1, port) + in_table(table))


def test_what_is_about_no_route_passes_whatever_it_holds() -> None:
    assert accepts(events_filter(OWN), HEADER.pack(28, NEW_LINK, 0, 1, FOREIGN) + in_table(255))
