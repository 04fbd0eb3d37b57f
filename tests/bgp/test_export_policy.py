"""Which peers get the same, and what."""

from __future__ import annotations

from msgspec.structs import replace

from bgp.export_policy import ExportPolicy
from bgp.speaker import Attributes, Neighbour
from net.prefix import Prefix, pack

MESH = Neighbour("192.0.2.2", "192.0.2.1", 64512, 64512)
ROUTER = replace(MESH, address="192.0.2.9", peer_as=65001, kind="global", is_node=False)


def test_every_peer_gets_every_route_as_it_is() -> None:
    policy = ExportPolicy()
    assert policy.group_of(MESH) == policy.group_of(ROUTER)
    attributes = Attributes(pack("192.0.2.1"), med=7)
    assert policy.exported(policy.group_of(ROUTER), Prefix.parse("10.65.1.0/26"), attributes) is attributes
