"""One route as a value of names and text, and as the words of the `ip` command: for logs, status and screens.

Pure. Tables of routes and netlink use packed values (kernel.route); this one is made where a route is to be shown.
"""

from __future__ import annotations

from msgspec import Struct

from net.prefix import Prefix

FORWARDING_KINDS = ("unicast", "local")


class IpHop(Struct, frozen=True):
    """One next hop. device: by name, "" = the kernel finds it. gateway: "" = the destination is on the device's link.

    onlink: take the gateway as reachable on the device though no route covers it. weight counts only beside others.
    """

    device: str = ""
    gateway: str = ""
    onlink: bool = False
    weight: int = 1

    def text(self, version: int) -> str:
        """Return the hop as `ip route` writes it for a destination of this IP version."""
        parts = []
        if self.gateway:
            own = 6 if ":" in self.gateway else 4
            parts.append(f"via {'' if own == version else 'inet6 ' if own == 6 else 'inet '}{self.gateway}")
        if self.device:
            parts.append(f"dev {self.device}")
        return " ".join(parts)


class IpRoute(Struct, frozen=True):
    """A route of a kernel's table. kind: the kernel's name of its type, such as `unicast` or `blackhole`.

    protocol: who put it there (RTPROT_*). link_scope: `scope link`, of IPv4 only. source: the address to send from,
    "" = the kernel chooses. mtu 0: the device's.
    """

    prefix: Prefix
    kind: str = "unicast"
    hops: tuple[IpHop, ...] = ()
    protocol: int = 0
    metric: int = 0
    link_scope: bool = False
    source: str = ""
    mtu: int = 0

    @property
    def forwards(self) -> bool:
        """False where the kernel drops what takes this route."""
        return self.kind in FORWARDING_KINDS

    @property
    def device(self) -> str:
        """The device of the first hop, "" if there is none."""
        return self.hops[0].device if self.hops else ""

    @property
    def gateway(self) -> str:
        """The gateway of the first hop, "" if there is none."""
        return self.hops[0].gateway if self.hops else ""

    def __str__(self) -> str:
        """Return the route as `ip route add` takes it."""
        return " ".join(filter(None, (self._kind, str(self.prefix), *self._attributes())))

    @property
    def without_prefix(self) -> str:
        """The same text without the destination."""
        return " ".join(filter(None, (self._kind, *self._attributes())))

    @property
    def _kind(self) -> str:
        return "" if self.kind in ("unicast", "unspecified") else self.kind

    def _attributes(self) -> list[str]:
        version = 4 if self.prefix.bits == 32 else 6
        several = len(self.hops) > 1
        parts = [] if several else [hop.text(version) for hop in self.hops]
        parts.append(f"proto {self.protocol}")
        if self.metric:
            parts.append(f"metric {self.metric}")
        if self.link_scope:
            parts.append("scope link")
        if self.source:
            parts.append(f"src {self.source}")
        if self.mtu:
            parts.append(f"mtu {self.mtu}")
        for hop in self.hops:
            if several:
                parts.append(f"nexthop {hop.text(version)} weight {hop.weight}")
            if hop.onlink:
                parts.append("onlink")
        return parts
