"""Sysctls of a device that rtnetlink sets as well: several in one message, where each file takes four system calls.

Sans-IO. Numbers are those of linux/ip.h, linux/if_link.h and linux/neighbour.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from kernel.message import attribute, nested, number, text

SET_NEIGHBOUR_TABLE: Final = 67

_IPV4: Final = {"forwarding": 1, "proxy_arp": 3, "route_localnet": 26}  # IPV4_DEVCONF_*
_INET: Final = 2
_AF_SPEC, _INET_CONF = 26, 1
_TABLE_NAME, _TABLE_PARAMETERS = 1, 6
_OF_DEVICE, _PROXY_DELAY = 1, 13
_FAMILY = struct.Struct("=BBH")
_MILLISECONDS = struct.Struct("=Q")
_TICK_MILLISECONDS: Final = 10
"""What one of a sysctl's ticks is, on every kernel and machine that this runs on."""


class DeviceSysctls(NamedTuple):
    """What of a device's sysctls can be set by netlink, and how, and the rest, by path."""

    attributes: bytes
    """Of a message that changes the device; b"": none."""
    neighbours: bytes
    """The body of a message that changes the ARP table's parameters for the device; b"": none."""
    rest: Mapping[str, str]


def divided(index: int, name: str, sysctls: Mapping[str, str]) -> DeviceSysctls:
    """Return the sysctls of the device with this index and name, divided by how they can be set."""
    settings, neighbours, rest = b"", b"", {}
    of_ipv4, proxy_delay = f"net/ipv4/conf/{name}/", f"net/ipv4/neigh/{name}/proxy_delay"
    for path, value in sysctls.items():
        if path.startswith(of_ipv4) and (setting := path.removeprefix(of_ipv4)) in _IPV4:
            settings += number(_IPV4[setting], int(value))
        elif path == proxy_delay:
            neighbours = _arp_parameters(index, int(value) * _TICK_MILLISECONDS)
        else:
            rest[path] = value
    attributes = nested(_AF_SPEC, nested(_INET, nested(_INET_CONF, settings))) if settings else b""
    return DeviceSysctls(attributes, neighbours, rest)


def _arp_parameters(index: int, proxy_delay_ms: int) -> bytes:
    delay = attribute(_PROXY_DELAY, _MILLISECONDS.pack(proxy_delay_ms))
    return (
        _FAMILY.pack(_INET, 0, 0)
        + text(_TABLE_NAME, "arp_cache")
        + nested(_TABLE_PARAMETERS, number(_OF_DEVICE, index), delay)
    )
