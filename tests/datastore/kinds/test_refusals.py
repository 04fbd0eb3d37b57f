"""What is refused where it is written: each is named, and the record that has it is read all the same."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.kinds.refusals import refusals


@pytest.mark.parametrize(
    ("spec", "clause"),
    [
        ({"keepaliveTime": "6h5m"}, "spec.keepaliveTime 6h5m is not between 1s and 21845s"),
        ({"keepaliveTime": "21846s"}, "is not between 1s and 21845s: three of them are the hold time"),
        ({"keepaliveTime": "10h"}, "keepaliveTime 10h"),
        ({"keepaliveTime": "0s"}, "keepaliveTime 0s"),
        ({"keepaliveTime": "-1s"}, "keepaliveTime -1s"),
        ({"maxRestartTime": "4096s"}, "spec.maxRestartTime 4096s is not between 1s and 4095s"),
        ({"maxRestartTime": "500ms"}, "maxRestartTime 500ms"),
        ({"maxRestartTime": "90"}, 'spec.maxRestartTime "90" is not a duration'),
        ({"keepaliveTime": "often"}, 'spec.keepaliveTime "often" is not a duration'),
        ({"asNumber": 23456}, "spec.asNumber 23456 stands for others"),
        ({"asNumber": "0.23456"}, "spec.asNumber 23456 stands for others"),
        ({"localASNumber": 23456}, "spec.localASNumber 23456 stands for others"),
        ({"peerIP": "0.0.0.0"}, "spec.peerIP 0.0.0.0 is not the address of one machine"),
        ({"peerIP": "[ff02::1]:179"}, "spec.peerIP ff02::1 is not the address of one machine"),
        ({"peerIP": "255.255.255.255"}, "is not the address of one machine"),
    ],
)
def test_what_no_session_can_have_is_named(spec: dict[str, Any], clause: str) -> None:
    [sentence] = refusals(BGPPeer.make("p", **spec))
    assert sentence.startswith('BGPPeer "p": ')
    assert clause in sentence


def test_the_limits_of_the_mesh_and_of_nodes_are_the_same() -> None:
    mesh = BGPConfiguration.make("default", asNumber=23456, nodeMeshMaxRestartTime="2h")
    assert len(list(refusals(mesh))) == 2
    node = Node.make("n1").with_data(IPv4Address="0.0.0.0/24", IPv6Address="ff02::1/64", ASNumber="23456")
    assert len(list(refusals(node))) == 3


@pytest.mark.parametrize(
    ("name", "spec", "clause"),
    [
        ("default", {"logSeverityScreen": "Notice"}, 'spec.logSeverityScreen "Notice" is not one of trace, debug'),
        ("default", {"bindMode": "Any"}, 'spec.bindMode "Any" is not one of None, NodeIP'),
        (
            "default",
            {"programClusterRoutes": "EnabledVXLANOnly"},
            'spec.programClusterRoutes "EnabledVXLANOnly" is not',
        ),
        (
            "default",
            {"serviceLoadBalancerAggregation": "Some"},
            'spec.serviceLoadBalancerAggregation "Some" is not one',
        ),
        ("default", {"communities": [{"name": "a", "value": "1:2"}]}, "no effect without prefixAdvertisements"),
        (
            "default",
            {"prefixAdvertisements": [{"cidr": "10.0.0.0/16", "communities": ["gold"]}]},
            'of 10.0.0.0/16: community "gold" is neither a value',
        ),
        (
            "default",
            {"nodeToNodeMeshEnabled": False, "nodeMeshPassword": {"secretKeyRef": {"name": "bgp", "key": "mesh"}}},
            "spec.nodeMeshPassword has no effect while nodeToNodeMeshEnabled is false",
        ),
        ("default", {"nodeToNodeMeshEnabled": False, "nodeMeshMaxRestartTime": "60s"}, "nodeMeshMaxRestartTime has no"),
        (
            "default",
            {"nodeMeshMaxRestartTime": "2 minutes"},
            'spec.nodeMeshMaxRestartTime "2 minutes" is not a duration',
        ),
        ("default", {"serviceClusterIPs": [{"cidr": "10.96.0.1/12"}]}, "spec.serviceClusterIPs[0].cidr"),
        ("default", {"serviceExternalIPs": [{"cidr": "none"}]}, 'spec.serviceExternalIPs[0].cidr "none" is not a CIDR'),
        ("default", {"prefixAdvertisements": [{"cidr": "none"}]}, 'prefixAdvertisements[0].cidr "none" is not a CIDR'),
        ("default", {"localWorkloadPeeringIPV4": "here"}, 'spec.localWorkloadPeeringIPV4 "here" is not an IP address'),
        ("node.n1", {"asNumber": 64513}, 'spec.asNumber is only honoured on "default"'),
        ("node.n1", {"nodeToNodeMeshEnabled": False}, "spec.nodeToNodeMeshEnabled is only honoured"),
    ],
)
def test_what_has_no_effect_is_named_and_the_rest_of_the_record_is_read(
    name: str, spec: dict[str, Any], clause: str
) -> None:
    """As kubectl stores it: else a mesh that is switched off would come up."""
    [sentence] = refusals(BGPConfiguration.make(name, **spec))
    assert sentence.startswith(f'BGPConfiguration "{name}": ')
    assert clause in sentence


def test_a_selector_of_a_peer_that_cannot_be_read_is_refused_when_it_is_written_and_is_read_all_the_same() -> None:
    peer = BGPPeer.read({"metadata": {"name": "p"}, "spec": {"peerSelector": "has(rack"}})
    [sentence] = refusals(peer)
    assert sentence.startswith("BGPPeer \"p\": spec.peerSelector selector 'has(rack'")


def test_a_pool_with_a_fault_is_named() -> None:
    pool = IPPool.read({"metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16", "nodeSelector": "has(rack"}})
    [sentence] = refusals(pool)
    assert sentence.startswith("IPPool \"p\": spec.nodeSelector selector 'has(rack'")


@pytest.mark.parametrize(
    "sound",
    [
        BGPPeer.make("p", peerIP="192.0.2.9:1179", asNumber=64512, keepaliveTime="21845s", maxRestartTime="4095s"),
        BGPPeer.make("p", peerIP="169.254.0.1", localASNumber=1, keepaliveTime="1s", maxRestartTime="1s"),
        BGPPeer.make("p"),
        BGPConfiguration.make("default"),
        BGPConfiguration.make("node.n1", listenPort=1790),
        BGPConfiguration.make(
            "default",
            logSeverityScreen="info",
            communities=[{"name": "gold", "value": "64512:100"}],
            prefixAdvertisements=[{"cidr": "10.0.0.0/16", "communities": ["gold", "64512:7", "64512:7:7"]}],
            nodeMeshMaxRestartTime="60s",
        ),
        Node.make("n1").with_data(IPv4Address="192.0.2.1/24", IPv6Address="fe80::1/64"),
        IPPool.make("a", cidr="10.0.0.0/16"),
    ],
)
def test_what_a_session_can_have_is_not(sound: BGPPeer) -> None:
    assert list(refusals(sound)) == []
