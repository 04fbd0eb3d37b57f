"""Strings with a meaning in records: addresses, CIDRs, AS numbers, durations, selectors.

Pure, and without pydantic. A record keeps the string as it was written; `datastore.field_types` checks it, and the
functions here turn it into a value. Each raises ValueError with a sentence about the string.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Interface: TypeAlias = IPv4Interface | IPv6Interface


@lru_cache(maxsize=65536)
def network(text: str) -> Network:
    """Return the network written as `10.65.0.0/16` or `fd00::/48`, host bits clear."""
    _refuse_zone(text)
    _refuse_mask(text)
    try:
        if "/" in text:
            return ip_network(text)
    except ValueError:
        try:
            meant = ip_interface(text).network
        except ValueError:
            pass
        else:
            raise ValueError(f'"{text}" has bits set beyond its length: {meant} is meant?') from None
    raise ValueError(f'"{text}" is not a CIDR such as 10.65.0.0/16')


@lru_cache(maxsize=65536)
def address(text: str) -> Address:
    """Return the address written as `192.0.2.1` or `fd00::1`."""
    _refuse_zone(text)
    try:
        return ip_address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an IP address') from None


def _refuse_zone(text: str) -> None:
    """Python reads `fe80::1%eth0`; but a device's name means something on one host only, and no route can hold it."""
    if "%" in text:
        raise ValueError(f'"{text}" has a zone index, which means nothing outside its own host')


def _refuse_mask(text: str) -> None:
    """Python also takes a netmask or a hostmask behind the slash; Calico, BGP and the kernel know only a length."""
    _, slash, length = text.partition("/")
    if slash and not re.fullmatch(r"\d{1,3}", length, re.ASCII):
        raise ValueError(f'"{text}" does not end in a prefix length such as /24')


def network_or_address(text: str) -> Network:
    """Return a CIDR, or one address as its /32 or /128."""
    return network(text) if "/" in text else ip_network(address(text))


@lru_cache(maxsize=65536)
def interface(text: str) -> Interface:
    """Return an address with the length of its subnet, `192.0.2.1/24`; without one it is a host's."""
    _refuse_zone(text)
    _refuse_mask(text)
    try:
        return ip_interface(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an address with a prefix length such as 192.0.2.1/24') from None


def as_number(written: int | str) -> int:
    """Return an AS number written as `64512`, `"64512"` or `"1.10"` (RFC 5396). 0 is none: RFC 7607."""
    if isinstance(written, float):
        raise ValueError(f"{written} is a decimal number; a dotted AS number needs quotes")
    parts = str(written).split(".")
    if len(parts) <= 2 and all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        high, low = (0, int(parts[0])) if len(parts) == 1 else (int(parts[0]), int(parts[1]))
        in_range = low < 1 << 32 if len(parts) == 1 else high < 1 << 16 and low < 1 << 16
        if in_range and not high << 16 | low:
            raise ValueError("0 is reserved (RFC 7607)")
        if in_range:
            return high << 16 | low
    raise ValueError(f'"{written}" is not an AS number (1 to 4294967295, or dotted as 1.10)')


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_SECONDS = 2.0**63 * 1e-9  # Go counts nanoseconds in 63 bits
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def seconds(duration: str) -> float:
    """Return a duration written in Go's way, `90s` or `1m30s`, in seconds: at most its 292 years."""
    unsigned = duration.removeprefix("-").removeprefix("+")
    if unsigned == "0":
        return 0.0
    parts = _DURATION.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        raise ValueError(f'"{duration}" is not a duration such as 90s or 1m30s')
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total >= _LONGEST_SECONDS:
        raise ValueError(f'"{duration[:40]}" is longer than the longest duration, 2562047h')
    return -total if duration.startswith("-") else total


def time_text(now_ns: int) -> str:
    """Return a time as Kubernetes writes it, in whole seconds: `2026-01-02T15:04:05Z`. now_ns: since 1970."""
    return f"{datetime.fromtimestamp(now_ns // 10**9, UTC).replace(tzinfo=None).isoformat()}Z"


def micro_time_text(now_ns: int) -> str:
    """Return a time as a Lease has it, in microseconds: `2026-01-02T15:04:05.000006Z`. now_ns: since 1970."""
    return f"{time_text(now_ns)[:-1]}.{now_ns // 1000 % 10**6:06d}Z"


_COMMUNITY = re.compile(r"(\d+):(\d+)(?::(\d+))?", re.ASCII)


def community(text: str) -> tuple[int, ...]:
    """Return a community `64512:100` (two halves of 16 bits) or a large one `64512:1:2` (three of 32 bits)."""
    if found := _COMMUNITY.fullmatch(text):
        parts = tuple(int(part) for part in found.groups() if part is not None)
        if all(part < 1 << (16 if len(parts) == 2 else 32) for part in parts):
            return parts
    raise ValueError(f'"{text}" is not a community such as 64512:100, or 64512:1:2 for a large one')


def peer_address(text: str) -> tuple[Address, int | None]:
    """Return address and port of `192.0.2.9`, `192.0.2.9:1179`, `fd00::9` or `[fd00::9]:1179`."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d{1,5}))?", text, re.ASCII)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, None
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f'"{text}" has no port between 1 and 65535')
    return address(host), None if port is None else int(port)
