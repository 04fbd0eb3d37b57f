"""Which pools a tunnel's address comes from."""

from __future__ import annotations

import pytest

from datastore.kinds.node import Node, TunnelKind
from ipam.tunnel_pools import tunnel_handle, tunnel_pools
from tests.ipam.records import calico
from tests.ipam.world import pool

IPIP = pool("ipip", "10.65.0.0/24", ipip_mode="Always")
VXLAN = pool("vxlan", "10.66.0.0/24", vxlan_mode="CrossSubnet")
SIX = pool("six", "fd00:66::/64", vxlan_mode="Always")
PLAIN = pool("plain", "10.67.0.0/24")


def test_the_handle_and_the_type_are_calicos() -> None:
    [owner, *_] = calico("crs/ipamblocks.yaml")[0]["spec"]["attributes"]
    assert owner["handle_id"] == tunnel_handle("ipip", "node-2")


@pytest.mark.parametrize(
    ("kind", "names"), [("ipip", ["ipip"]), ("vxlan", ["vxlan"]), ("vxlan-v6", ["six"]), ("wireguard", [])]
)
def test_a_tunnel_chooses_among_the_pools_of_its_encapsulation_and_family(kind: TunnelKind, names: list[str]) -> None:
    assert [one.name for one in tunnel_pools(kind, Node.make("n1"), [IPIP, VXLAN, SIX, PLAIN])] == names


def test_wireguard_takes_any_pool_of_its_family_once_the_node_has_a_key() -> None:
    keyed = Node.make("n1", annotations={"projectcalico.org/WireguardPublicKey": "key"})
    assert [one.name for one in tunnel_pools("wireguard", keyed, [IPIP, VXLAN, SIX, PLAIN])] == [
        "ipip",
        "vxlan",
        "plain",
    ]
    assert tunnel_pools("wireguard-v6", keyed, [SIX]) == ()


def test_a_pool_that_does_not_select_the_node_or_forbids_tunnels_is_left_out() -> None:
    elsewhere = pool("elsewhere", "10.68.0.0/24", ipip_mode="Always", node_selector="rack == 'b'")
    for_pods = pool("for-pods", "10.69.0.0/24", ipip_mode="Always", allowed_uses=["Workload"])
    disabled = pool("disabled", "10.70.0.0/24", ipip_mode="Always", disabled=True)
    assert tunnel_pools("ipip", Node.make("n1"), [elsewhere, for_pods, disabled]) == ()
    assert tunnel_pools("ipip", Node.make("n1", labels={"rack": "b"}), [elsewhere]) == (elsewhere,)
