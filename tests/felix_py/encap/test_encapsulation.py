"""What an encapsulation takes of a packet: as configured, else what it adds; and what is left for pods."""

from __future__ import annotations

from collections.abc import Mapping

from datastore.kinds.cluster import FelixConfiguration
from felix_py.encap.encapsulation import pod_mtu
from felix_py.encap.ipip import IPIP


def configurations(**mtus: int) -> Mapping[str, FelixConfiguration]:
    return {name.replace("_", "."): FelixConfiguration.make(name, ipipMTU=mtu) for name, mtu in mtus.items()}


def test_the_tunnels_mtu_is_the_nodes_setting_then_the_clusters_then_what_the_host_leaves() -> None:
    assert IPIP.mtu(1500, {}, "n1") == 1480
    assert IPIP.mtu(1500, configurations(default=0), "n1") == 1480
    assert IPIP.mtu(1500, configurations(default=1440), "n1") == 1440
    assert IPIP.mtu(1500, configurations(default=1440, node_n1=1400), "n1") == 1400


def test_pods_get_what_every_wanted_tunnel_leaves_and_never_more_than_the_host_has() -> None:
    assert pod_mtu(1500, []) == 1500
    assert pod_mtu(1500, [1480, 1450]) == 1450
    assert pod_mtu(1500, [9000]) == 1500
