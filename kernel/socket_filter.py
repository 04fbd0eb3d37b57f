"""A socket filter that drops the events of our own writes, except those that carry news, and those of other tables.

One system call, else bytes. The kernel reports every change to every listener, its author included: a hundred thousand
routes written would be a hundred thousand events to decode. Dropped are our own additions of routes that did not exist,
and our own removals, which name their protocol. What a write of ours replaced passes. Of the tables only the main one
is read; each pod's device brings some routes in that of local addresses, too, and takes them along.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from kernel.message import REPLACE
from kernel.route import DELETE_ROUTE, MAIN_TABLE, NEW_ROUTE

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER
_TYPE_AT, _FLAGS_AT, _PORT_AT = 4, 6, 12
_TABLE_AT = 20  # in a route's header; a table whose number is too large for it is another than the main one
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _RETURN = 0x20, 0x28, 0x30, 0x06
_JUMP_EQUAL, _JUMP_ANY_BIT = 0x15, 0x45
_INSTRUCTION = struct.Struct("=HBBI")  # operation, how far to jump if true, if false, operand
_ALL = 0xFFFFFFFF


def attach_events_filter(netlink: socket.socket, ports: Sequence[int]) -> None:
    """Drop events on `netlink`: of routes in other tables, and of what the sockets with these ports add or remove."""
    program = events_filter(ports)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    netlink.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, head)


def events_filter(own_ports: Sequence[int]) -> bytes:
    """Return the classic BPF program. It sees one message at a time, as the kernel sends them.

    A jump has how many instructions it leaves out if its condition is true, and how many if it is false.
    """
    own = len(own_ports)
    program = (
        (_LOAD_HALF, 0, 0, _TYPE_AT),
        (_JUMP_EQUAL, 1, 0, _as_loaded("=H", DELETE_ROUTE)),
        (_JUMP_EQUAL, 0, own + 3, _as_loaded("=H", NEW_ROUTE)),  # any other passes
        (_LOAD_BYTE, 0, 0, _TABLE_AT),
        (_JUMP_EQUAL, 0, own + 6, MAIN_TABLE),  # one of another table is dropped
        (_LOAD_WORD, 0, 0, _PORT_AT),
        *((_JUMP_EQUAL, own - n, 0, _as_loaded("=I", port)) for n, port in enumerate(own_ports)),
        (_RETURN, 0, 0, _ALL),
        (_LOAD_HALF, 0, 0, _TYPE_AT),  # of one of our own
        (_JUMP_EQUAL, 2, 0, _as_loaded("=H", DELETE_ROUTE)),
        (_LOAD_HALF, 0, 0, _FLAGS_AT),
        (_JUMP_ANY_BIT, 1, 0, _as_loaded("=H", REPLACE)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, _ALL),
    )
    return b"".join(_INSTRUCTION.pack(operation, true, false, operand) for operation, true, false, operand in program)


def _as_loaded(shape: str, value: int) -> int:
    """Return a number in the machine's order as the filter loads it: always the most significant byte first."""
    return int.from_bytes(struct.pack(shape, value))
