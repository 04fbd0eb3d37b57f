"""Who this node is, as start-up found out.

Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal, NamedTuple

from msgspec import Struct

from net.prefix import Prefix


class Addresses(NamedTuple):
    """This node's own addresses, packed: the next hop of everything it announces, by family."""

    ipv4: bytes | None
    ipv6: bytes | None

    def of_family(self, prefix: Prefix) -> bytes | None:
        return self.ipv4 if prefix.family == "ipv4" else self.ipv6


class Identity(Struct, frozen=True):
    """The node's name and addresses. router_id: as set, None = the IPv4 address."""

    node: str
    addresses: Addresses
    router_id: IPv4Address | Literal["hash"] | None = None


class StartupError(Exception):
    """This node cannot take part; the sentence says why."""
