"""The chains of iptables-legacy in this network namespace. Edge, which changes nothing.

Only tables that exist are read: asking for another would make it.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from kernel.iptables_codec import ENTRIES_HEADER, INFO, NAT, PRIORITIES, chains, decode_info
from kernel.message import explain
from kernel.netlink import KernelError
from net.packet_filter import Chain

NAMES = {4: Path("/proc/thread-self/net/ip_tables_names"), 6: Path("/proc/thread-self/net/ip6_tables_names")}
_FAMILIES = {4: (socket.AF_INET, socket.IPPROTO_IP), 6: (socket.AF_INET6, socket.IPPROTO_IPV6)}
_GET_INFO, _GET_ENTRIES = 64, 65
_ATTEMPTS = 5

_libc = ctypes.CDLL(None, use_errno=True)  # socket.getsockopt hands no bytes to the kernel


def read_iptables(*, nat: bool = False) -> list[Chain]:
    """Return the chains of the tables that exist, both families. nat: also that one, which can drop nothing.

    Raises KernelError.
    """
    tables = {*PRIORITIES, *((NAT,) if nat else ())}
    return [chain for version in (4, 6) for chain in _of_version(version, tables)]


def _of_version(version: int, tables: Collection[str]) -> Iterator[Chain]:
    try:
        names = NAMES[version].read_text().split()
    except FileNotFoundError:
        return  # the kernel has none, or has never been asked for one
    except OSError as error:
        raise KernelError(f"read {NAMES[version]}: {explain(error.errno or 0)}", error.errno or 0) from None
    for table in sorted(set(tables).intersection(names)):
        yield from _table(version, table)


def _table(version: int, table: str) -> Iterator[Chain]:
    family, level = _FAMILIES[version]
    tried = f"read table {table} of {'iptables' if version == 4 else 'ip6tables'}-legacy"
    try:
        asking = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)  # one that is raw takes CAP_NET_RAW
    except OSError as error:
        raise KernelError(f"{tried}: {explain(error.errno or 0)}", error.errno or 0) from None
    name = table.encode().ljust(32, b"\0")
    with closing(asking):
        for _ in range(_ATTEMPTS):
            info = decode_info(_get(asking, level, _GET_INFO, name.ljust(INFO.size, b"\0"), tried))
            header = name + info.size.to_bytes(4, "little")
            try:
                answer = _get(asking, level, _GET_ENTRIES, header.ljust(ENTRIES_HEADER + info.size, b"\0"), tried)
            except KernelError as refused:
                if refused.errno == errno.EAGAIN:
                    continue  # it changed between the two requests
                raise
            yield from chains(version, table, info, answer[ENTRIES_HEADER:])
            return
    raise KernelError(f"{tried}: changed during each of {_ATTEMPTS} attempts to read it", errno.EAGAIN)


def _get(asking: socket.socket, level: int, option: int, request: bytes, tried: str) -> bytes:
    buffer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint32(len(request))
    if _libc.getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length)) != 0:
        code = ctypes.get_errno()
        raise KernelError(f"{tried}: {explain(code)}", code)
    return buffer.raw[: length.value]
