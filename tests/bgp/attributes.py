"""Announcements with every attribute there is, as recorded in tests/fixtures/exabgp."""

from __future__ import annotations

from bgp.speaker import (
    AsPathSegment,
    Attributes,
    UnknownAttribute,
)
from net.prefix import Prefix, pack

RICH = Attributes(
    next_hop=pack("10.9.0.2"),
    as_path=(AsPathSegment("sequence", (65010, 65011)), AsPathSegment("set", (65020, 65021))),
    med=7,
    communities=((64512, 1), (65535, 65281)),
    large_communities=((64512, 3, 4),),
    extended_communities=(0x0002FC0000000009,),
    originator_id=pack("10.9.0.9"),
    cluster_list=(pack("10.9.0.8"), pack("7.7.7.7")),
    atomic_aggregate=True,
    aggregator="64512:1.2.3.4",
    unknown=(UnknownAttribute(0x63, 0xE0, b"\1\2\3\4"),),
)


PLAIN6 = Attributes(pack("fd09::2"), local_preference=100, origin="incomplete")


ROUTES = {
    Prefix.parse("10.65.1.0/26"): RICH,
    Prefix.parse("10.65.1.64/26"): RICH,
    Prefix.parse("fd00::/122"): PLAIN6,
}
