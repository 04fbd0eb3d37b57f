"""What the plugin answers: results, versions and errors as JSON of the version that was asked in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from cni.addresses import Address, read_address
from cni.errors import CniError
from cni.request import VERSIONS


class CniInterface(NamedTuple):
    """One device of a result; an empty sandbox is the host."""

    name: str
    mac: str
    mtu: int
    sandbox: str = ""

    def render(self, version: str) -> dict[str, Any]:
        members: dict[str, Any] = {"name": self.name, "mac": self.mac}
        if version == "1.1.0":
            members["mtu"] = self.mtu
        if self.sandbox:
            members["sandbox"] = self.sandbox
        return members


class CniResult(Struct, frozen=True):
    """What an ADD made: the host's end, the container's end, and the addresses on the latter, primary first."""

    host: CniInterface
    container: CniInterface
    addresses: tuple[Address, ...]
    gateways: tuple[Address, ...]
    """Per address, the link-local address its default route leads through."""


def render(result: CniResult, version: str, previous: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the result as the runtime reads it, after what plugins before us in the chain already made.

    Unknown members of `previous` are passed on as they are.
    """
    chained = dict(previous or {})
    interfaces = list(chained.get("interfaces") or ())
    index = len(interfaces) + 1
    ips = [
        {"interface": index, "address": f"{address}/{address.max_prefixlen}", "gateway": str(gateway)}
        | ({"version": str(address.version)} if version.startswith("0.") else {})
        for address, gateway in zip(result.addresses, result.gateways, strict=True)
    ]
    routes = [
        {"dst": "0.0.0.0/0" if gateway.version == 4 else "::/0", "gw": str(gateway)}
        for gateway in dict.fromkeys(result.gateways)
    ]
    return chained | {
        "cniVersion": version,
        "interfaces": [*interfaces, result.host.render(version), result.container.render(version)],
        "ips": [*(chained.get("ips") or ()), *ips],
        "routes": [*(chained.get("routes") or ()), *routes],
    }


def addresses_of(previous: Mapping[str, Any], device: str) -> tuple[Address, ...] | None:
    """Return the addresses that a result puts on `device` inside the container; None if it does not list the device.

    An address without an interface index (0 is an index) belongs to no known device and is left out.
    """
    interfaces = previous.get("interfaces") or ()
    ours = {index for index, one in enumerate(interfaces) if one.get("sandbox") and one.get("name") == device}
    if not ours:
        return None
    return tuple(read_address(ip["address"]) for ip in previous.get("ips") or () if ip.get("interface") in ours)


def version_answer(version: str) -> dict[str, Any]:
    return {"cniVersion": version, "supportedVersions": list(VERSIONS)}


def render_error(error: CniError, version: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"cniVersion": version, "code": int(error.code), "msg": error.sentence}
    return shown | ({"details": error.details} if error.details else {})
