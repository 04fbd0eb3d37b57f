"""The types of settings: texts of the environment and of the settings file, as values.

Pure. Each accepts a text, or a value of its type. Each raises ValueError for an invalid text, with a sentence where
the allowed values alone would not explain it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, PlainValidator

from datastore import fields, selector
from datastore.errors import Invalid
from datastore.fields import Address, Interface, Network
from datastore.record import is_name
from datastore.url import parse_url
from felix_py.host.autodetect import Method

LONGEST_FOLDER_BYTES = 107 - len("/status.sock")
"""Of a folder with sockets: sockaddr_un holds 108 bytes, the last of them NUL."""


class AddressChoice(StrEnum):
    """What IP and IP6 say where they are no address."""

    KEEP = ""  # the address that the Node has; if it has none, a detected one
    DETECT = "autodetect"
    NONE = "none"


def _of_text(parse: Callable[[str], Any]) -> PlainValidator:
    return PlainValidator(lambda written: parse(written) if type(written) is str else written)


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError
    return text


def _object_name(text: str) -> str:
    if not is_name(text):
        raise ValueError
    return text


def _path(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError
    return Path(text)


def _socket_folder(text: str) -> Path:
    if len(text.encode()) > LONGEST_FOLDER_BYTES:
        raise ValueError
    return _path(text)


def _store(text: str) -> str:
    try:
        parse_url(text)
    except Invalid:
        raise ValueError from None
    return text


def _router_id(text: str) -> IPv4Address | Literal["hash"]:
    if text.lower() == "hash":
        return "hash"
    found = fields.address(text)
    if not isinstance(found, IPv4Address):
        raise ValueError
    if not int(found):
        raise ValueError("0.0.0.0 is reserved (RFC 6286)")
    return found


def _pool_network(text: str) -> Network | Literal["none"]:
    return "none" if text.lower() == "none" else fields.network(text)


def _selector(text: str) -> str:
    selector.parse(text)
    return text


def _node_address(version: int, text: str) -> NodeAddress:
    if text.lower() in (AddressChoice.DETECT, AddressChoice.NONE):
        return AddressChoice(text.lower())
    found = fields.interface(text)
    if found.version != version or found.ip.is_unspecified or found.ip.is_multicast:
        raise ValueError
    return found if "/" in text else found.ip


def _encapsulation(text: object) -> object:
    """Accept Calico's older spellings: Off, cross-subnet, in any case."""
    spellings = {"off": "Never", "never": "Never", "always": "Always"}
    spellings |= {"crosssubnet": "CrossSubnet", "cross-subnet": "CrossSubnet"}
    return spellings.get(text.lower(), text) if isinstance(text, str) else text


def log_level(text: object) -> object:
    """Return our name of a level: Calico has two more names for the ends of the scale."""
    upper = text.upper() if isinstance(text, str) else text
    return {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(upper, upper) if isinstance(upper, str) else upper


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


def _pod_mtu(mtu: int) -> int:
    """0: as the host's."""
    if 0 < mtu < 68:
        raise ValueError("IPv4 needs 68 at least (RFC 791)")
    if not 0 <= mtu <= 65535:
        raise ValueError
    return mtu


NodeAddress: TypeAlias = Interface | Address | AddressChoice

IPv4NodeAddress: TypeAlias = Annotated[NodeAddress, _of_text(partial(_node_address, 4))]
IPv6NodeAddress: TypeAlias = Annotated[NodeAddress, _of_text(partial(_node_address, 6))]
NodeName: TypeAlias = Annotated[str, _of_text(_object_name)]
NamespaceName: TypeAlias = Annotated[str, _of_text(partial(_matching, r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"))]
DevicePrefix: TypeAlias = Annotated[str, _of_text(partial(_matching, r"[A-Za-z0-9._-]{1,4}"))]
Host: TypeAlias = Annotated[str, _of_text(partial(_matching, r"[0-9A-Za-z:._-]{1,253}"))]
AbsolutePath: TypeAlias = Annotated[Path, _of_text(_path)]
SocketFolder: TypeAlias = Annotated[Path, _of_text(_socket_folder)]
FileMode: TypeAlias = Annotated[int, _of_text(lambda text: int(_matching("0?[0-7]{3}", text), 8))]
StoreUrl: TypeAlias = Annotated[str, _of_text(_store)]
Detection: TypeAlias = Annotated[Method, _of_text(Method.parse)]
NatAddress: TypeAlias = Annotated[IPv4Address | None, _of_text(nat_address)]
PortRange: TypeAlias = Annotated[tuple[int, int] | None, _of_text(port_range)]
NatExclusion: TypeAlias = Annotated[NatExclusions, _of_text(nat_exclusions)]
PodMtu: TypeAlias = Annotated[int, AfterValidator(_pod_mtu)]
Networks: TypeAlias = Annotated[tuple[Network, ...], _of_text(networks)]
NatDevice: TypeAlias = Annotated[str, _of_text(nat_device)]
AsNumber: TypeAlias = Annotated[int, _of_text(fields.as_number)]
RouterId: TypeAlias = Annotated[IPv4Address | Literal["hash"], _of_text(_router_id)]
PoolNetwork: TypeAlias = Annotated[Network | Literal["none"], _of_text(_pool_network)]
SelectorText: TypeAlias = Annotated[str, _of_text(_selector)]
Encapsulation: TypeAlias = Annotated[Literal["Never", "Always", "CrossSubnet"], BeforeValidator(_encapsulation)]
LogLevelName: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NONE"]
LogLevel: TypeAlias = Annotated[LogLevelName, BeforeValidator(log_level)]
