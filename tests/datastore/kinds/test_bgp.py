"""The BGP kinds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.record import Resource


def test_the_port_of_a_peer_follows_its_address() -> None:
    for text, address, port in (
        ("192.0.2.9", "192.0.2.9", None),
        ("192.0.2.9:1179", "192.0.2.9", 1179),
        ("fd00::9", "fd00::9", None),
        ("[fd00::9]:1179", "fd00::9", 1179),
    ):
        peer = BGPPeer.make("p", peer_ip=text, as_number=64513)
        assert (str(peer.address), peer.port) == (address, port)


def test_durations_are_read_in_gos_way() -> None:
    peer = BGPPeer.make("p", max_restart_time="1m30.5s")
    assert peer.restart_seconds == 90.5


def test_of_what_is_no_duration_the_sessions_usual_time_is_left() -> None:
    peer = BGPPeer.make("p", max_restart_time="90", keepalive_time="often")
    assert peer.restart_seconds is peer.keepalive_seconds is None
    assert BGPConfiguration.make("default", node_mesh_max_restart_time="two minutes").mesh_restart_seconds is None


def test_of_the_ranges_of_services_those_that_are_networks_are_read_and_masked() -> None:
    ranges = [{"cidr": "10.96.0.1/12"}, {"cidr": "none"}, {"cidr": ""}, {"cidr": "fd00:96::/108"}]
    configuration = BGPConfiguration.make("default", service_cluster_ips=ranges, node_to_node_mesh_enabled=False)
    assert [str(cidr) for _, cidr in configuration.service_ranges()] == ["10.96.0.0/12", "fd00:96::/108"]
    assert configuration.spec.node_to_node_mesh_enabled is False


def test_empty_texts_of_a_peer_are_absent_as_in_calico() -> None:
    written = {"peerIP": "", "peerSelector": "all()", "asNumber": "", "reachableBy": "", "keepaliveTime": ""}
    peer = BGPPeer.read({"metadata": {"name": "p"}, "spec": written})
    assert peer.spec.model_fields_set == {"peer_selector"}
    assert (peer.address, peer.as_number, peer.keepalive_seconds) == (None, None, None)


REFUSED = [
    (lambda: BGPConfiguration.make("default", as_number=4294967296), "is not an AS number"),
    (lambda: BGPConfiguration.make("default", listen_port=0), "spec.listenPort 0 is less than 1"),
    (lambda: BGPPeer.make("p", as_number=1.1), "spec.asNumber 1.1 is a decimal number"),
    (lambda: BGPPeer.make("p", filters="gold"), 'spec.filters "gold" is not a list'),
    (lambda: BGPPeer.make("p", node=3), "spec.node 3 is not a text"),
    (lambda: BGPPeer.make("rack1", peer_ip="10.0.0.999"), 'BGPPeer "rack1": spec.peerIP "10.0.0.999" is not an IP'),
    (lambda: BGPPeer.make("p", peer_ip="10.0.0.9:99999"), "no port between 1 and 65535"),
    (lambda: BGPPeer.make("p", node="n1", node_selector="all()"), "node and nodeSelector exclude each other"),
    (lambda: BGPPeer.make("p", peer_selector="all()", as_number=1), "peerSelector and asNumber exclude"),
    (lambda: BGPPeer.make("p", reachable_by="192.0.2.1"), "reachableBy needs peerIP"),
    (lambda: BGPFilter.make("f", exportV4=[{}]), "spec.exportV4[0].action is required"),
    (lambda: BGPFilter.make("f", exportV4=[{"action": "Accept", "cidr": "10.0.0.0/8"}]), "each needs the other"),
    (
        lambda: BGPFilter.make("f", exportV6=[{"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In"}]),
        "spec.exportV6[0].cidr 10.0.0.0/8 is not an IPv6 network",
    ),
    (lambda: BGPFilter.make("f", importV4=[{"action": "Accept", "operations": [{}]}]), "operations[0] is not exactly"),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)
