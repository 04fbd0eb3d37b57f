"""The types of settings: texts of the environment and of the settings file, as values.

Pure. Each function returns the value of a text. Each raises ValueError for an invalid one, with a sentence where the
allowed values alone would not explain it.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, TypeAlias

from datastore import fields, selector
from datastore.errors import Invalid
from datastore.fields import Address, Interface, Network
from datastore.record import is_name
from datastore.url import parse_url

LONGEST_FOLDER_BYTES = 107 - len("/status.sock")
"""Of a folder with sockets: sockaddr_un holds 108 bytes, the last of them NUL."""


Encapsulation: TypeAlias = Literal["Never", "Always", "CrossSubnet"]
LogLevelName: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NONE"]

_NUMBER = re.compile(r"([+-]?\d{1,20}(?:_\d{1,20}){0,9})(?:\.0+)?", re.ASCII)
_SWITCHES = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_SPELLINGS: dict[str, Encapsulation] = {
    "off": "Never",
    "never": "Never",
    "always": "Always",
    "crosssubnet": "CrossSubnet",
    "cross-subnet": "CrossSubnet",
}
_LEVELS: dict[str, LogLevelName] = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARNING": "WARNING",
    "ERROR": "ERROR",
    "FATAL": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "NONE": "NONE",
}


class AddressChoice(StrEnum):
    """What IP and IP6 say where they are no address."""

    KEEP = ""  # the address that the Node has; if it has none, a detected one
    DETECT = "autodetect"
    NONE = "none"


NodeAddress: TypeAlias = Interface | Address | AddressChoice


def number(least: int, most: int, text: str) -> int:
    """Return a whole number within these bounds."""
    written = _NUMBER.fullmatch(text)
    if written is None or not least <= (found := int(written[1])) <= most:
        raise ValueError
    return found


def seconds(most: int, text: str) -> float:
    """Return a number of seconds from 0 to `most`."""
    if not text.isascii():
        raise ValueError
    try:
        found = float(text)
    except ValueError:
        raise ValueError from None
    if not math.isfinite(found) or not 0 <= found <= most:
        raise ValueError
    return found


def switch(text: str) -> bool:
    if (found := _SWITCHES.get(text.lower())) is None:
        raise ValueError
    return found


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError
    return text


def object_name(text: str) -> str:
    if not is_name(text):
        raise ValueError
    return text


def absolute_path(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError
    return Path(text)


def socket_folder(text: str) -> Path:
    if len(text.encode()) > LONGEST_FOLDER_BYTES:
        raise ValueError
    return absolute_path(text)


def store_url(text: str) -> str:
    try:
        parse_url(text)
    except Invalid:
        raise ValueError from None
    return text


def router_id(text: str) -> IPv4Address | Literal["hash"]:
    if text.lower() == "hash":
        return "hash"
    found = fields.address(text)
    if not isinstance(found, IPv4Address):
        raise ValueError
    if not int(found):
        raise ValueError("0.0.0.0 is reserved (RFC 6286)")
    return found


def pool_network(text: str) -> Network | Literal["none"]:
    return "none" if text.lower() == "none" else fields.network(text)


def selector_text(text: str) -> str:
    selector.parse(text)
    return text


def _node_address(version: int, text: str) -> NodeAddress:
    if text.lower() in (AddressChoice.DETECT, AddressChoice.NONE):
        return AddressChoice(text.lower())
    found = fields.interface(text)
    if found.version != version or found.ip.is_unspecified or found.ip.is_multicast:
        raise ValueError
    return found if "/" in text else found.ip


def encapsulation(text: str) -> Encapsulation:
    """Accept Calico's older spellings: Off, cross-subnet, in any case."""
    if (found := _SPELLINGS.get(text.lower())) is None:
        raise ValueError
    return found


def log_level(text: str) -> LogLevelName:
    """Return our name of a level: Calico has two more names for the ends of the scale."""
    if (found := _LEVELS.get(text.upper())) is None:
        raise ValueError
    return found


class NatExclusions(StrEnum):
    """Where packets of a pool with natOutgoing go with the pod's own address."""

    POOLS = "IPPoolsOnly"
    POOLS_AND_HOSTS = "IPPoolsAndHostIPs"


def nat_address(text: str) -> IPv4Address | None:
    """Return the source address that packets get; None: one of the device that they leave by."""
    found = None if text.lower() == "none" else fields.address(text)
    if isinstance(found, IPv6Address) or (found is not None and (found.is_unspecified or found.is_multicast)):
        raise ValueError
    return found


def port_range(text: str) -> tuple[int, int] | None:
    """Return the first and the last port of `1024:65535`, or of one alone; None, for `none` and `0:0`: any."""
    if text.lower() in ("none", "0", "0:0"):
        return None
    ports = [int(_matching(r"\d{1,5}", port)) for port in text.split(":")]
    if len(ports) > 2 or not 0 < ports[0] <= ports[-1] < 1 << 16:
        raise ValueError
    return ports[0], ports[-1]


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks and addresses of a list with commas between them."""
    return tuple(fields.network_or_address(one.strip()) for one in text.split(",") if one.strip().lower() != "none")


def nat_exclusions(text: str) -> NatExclusions:
    return NatExclusions(text)


def nat_device(text: str) -> str:
    """Return the name of a device, where `+` at the end stands for any ending; "": any."""
    return "" if text.lower() in ("", "none") else _matching(r"[A-Za-z0-9:._-]{1,15}|[A-Za-z0-9:._-]{1,14}\+", text)


def pod_mtu(text: str) -> int:
    """0: as the host's."""
    mtu = number(0, 65535, text)
    if 0 < mtu < 68:
        raise ValueError("IPv4 needs 68 at least (RFC 791)")
    return mtu


def namespace_name(text: str) -> str:
    return _matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text)


def device_prefix(text: str) -> str:
    return _matching(r"[A-Za-z0-9._-]{1,4}", text)


def host(text: str) -> str:
    """Return an address or a host's name."""
    return _matching(r"[0-9A-Za-z:._-]{1,253}", text)


def file_mode(text: str) -> int:
    return int(_matching("0?[0-7]{3}", text), 8)


def ipv4_node_address(text: str) -> NodeAddress:
    return _node_address(4, text)


def ipv6_node_address(text: str) -> NodeAddress:
    return _node_address(6, text)
