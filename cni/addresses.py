"""Addresses as texts of configurations, annotations and results have them. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from cni.errors import CniError, Code

Address = IPv4Address | IPv6Address


def read_address(text: str) -> Address:
    """Return an address that is written with or without a length. Raises CniError (7): it is none."""
    try:
        return ip_address(text.partition("/")[0])
    except ValueError:
        raise CniError(Code.INVALID_CONFIGURATION, f"ADD: {text!r}, asked for as an address, is not one") from None
