"""A socket filter that drops the events of our own writes, except those that carry news.

One system call, else bytes. The kernel reports every change to every listener, its author included: a hundred thousand
routes written would be a hundred thousand events to decode. Dropped are our own additions of routes that did not exist,
and our own removals, which name their protocol. What a write of ours replaced passes.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from kernel.message import REPLACE
from kernel.route import DELETE_ROUTE, NEW_ROUTE

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_TYPE_AT, _FLAGS_AT, _PORT_AT = 4, 6, 12
_LOAD_WORD, _LOAD_HALF, _RETURN = 0x20, 0x28, 0x06
_JUMP_EQUAL, _JUMP_ANY_BIT = 0x15, 0x45
_INSTRUCTION = struct.Struct("=HBBI")  # operation, how far to jump if true, if false, operand
_ALL = 0xFFFFFFFF


def without_own(netlink: socket.socket, ports: Sequence[int]) -> None:
    """Drop the events on `netlink` of what the sockets with these port numbers add or remove."""
    program = own_events_filter(ports)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    netlink.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, head)


def own_events_filter(ports: Sequence[int]) -> bytes:
    """Return the classic BPF program. It sees one message at a time, as the kernel sends them."""
    last = len(ports) - 1
    # Jumps count from the next instruction; accept is five, drop six instructions behind the load of the type.
    return b"".join(
        (
            _INSTRUCTION.pack(_LOAD_WORD, 0, 0, _PORT_AT),
            *(
                _INSTRUCTION.pack(_JUMP_EQUAL, last - n, 5 if n == last else 0, _as_loaded("=I", port))
                for n, port in enumerate(ports)
            ),
            _INSTRUCTION.pack(_LOAD_HALF, 0, 0, _TYPE_AT),
            _INSTRUCTION.pack(_JUMP_EQUAL, 4, 0, _as_loaded("=H", DELETE_ROUTE)),
            _INSTRUCTION.pack(_JUMP_EQUAL, 0, 2, _as_loaded("=H", NEW_ROUTE)),
            _INSTRUCTION.pack(_LOAD_HALF, 0, 0, _FLAGS_AT),
            _INSTRUCTION.pack(_JUMP_ANY_BIT, 0, 1, _as_loaded("=H", REPLACE)),
            _INSTRUCTION.pack(_RETURN, 0, 0, _ALL),
            _INSTRUCTION.pack(_RETURN, 0, 0, 0),
        )
    )


def _as_loaded(shape: str, value: int) -> int:
    """Return a number in the machine's order as the filter loads it: always the most significant byte first."""
    return int.from_bytes(struct.pack(shape, value))
