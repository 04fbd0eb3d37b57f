"""Which fields of the BGP kinds are not obeyed, and which sessions are held back."""

from __future__ import annotations

from typing import Any

import pytest

from bgp.annotations import PREFIX_LIMIT
from bgp.notices import FILTER, PEER, configuration_notices, held_back, node_notices, peer_notices
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.kinds.node import Node
from datastore.node_fields import V3_FIELDS

PASSWORD = {"secretKeyRef": {"name": "bgp", "key": "rack1"}}


def peer(**spec: Any) -> BGPPeer:
    return BGPPeer.make("rack1", **{"peerIP": "192.0.2.9", "asNumber": 64513, **spec})


def fields(spec: dict[str, Any]) -> list[str]:
    return [notice.field for notice in PEER.notices(peer(**spec))]


def test_a_plain_peer_is_obeyed_and_comes_up() -> None:
    assert PEER.notices(peer()) == ()
    assert held_back(peer()) is None
    assert held_back(None) is None


def test_a_peer_with_filters_does_not_come_up() -> None:
    filtered = peer(filters=["reject-all"])
    assert held_back(filtered) == "BGP filters are not implemented"
    assert [str(notice) for notice in PEER.notices(filtered)] == [
        'BGPPeer "rack1" spec.filters: BGP filters are not implemented; the session is not brought up'
    ]


def test_only_a_datastore_with_secrets_obeys_a_password() -> None:
    secured = peer(password=PASSWORD)
    assert [str(notice) for notice in peer_notices(secured)] == [
        'BGPPeer "rack1" spec.password.secretKeyRef.key: only a datastore on Kubernetes has the Secrets that hold'
        " passwords; the session is not brought up"
    ]
    assert peer_notices(secured, has_secrets=True) == ()


def test_a_password_without_a_secret_is_none() -> None:
    assert fields({"password": {}, "filters": []}) == []


def test_only_a_datastore_with_secrets_obeys_the_password_of_the_mesh() -> None:
    secured = BGPConfiguration.make("default", nodeMeshPassword=PASSWORD)
    assert [notice.field for notice in configuration_notices(secured)] == ["spec.nodeMeshPassword.secretKeyRef.key"]
    assert configuration_notices(secured, has_secrets=True) == ()


def test_that_a_secret_may_be_missing_is_not_obeyed_even_where_there_are_secrets() -> None:
    optional = {"secretKeyRef": {**PASSWORD["secretKeyRef"], "optional": True}}
    [notice] = peer_notices(peer(password=optional), has_secrets=True)
    assert (notice.field, notice.effect) == (
        "spec.password.secretKeyRef.optional",
        "while the Secret or its key is missing, it is held back",
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"nextHopMode": "Auto"},
        {"nextHopMode": "Self"},
        {"keepOriginalNextHop": False},
        {"sourceAddress": "UseNodeIP"},
        {"sourceAddress": "None"},
        {"numAllowedLocalASNumbers": 2},
        {"reachableBy": "192.0.2.1"},
        {"maxRestartTime": "1s", "keepaliveTime": "1m30s"},
        {"maxRestartTime": "4095s", "keepaliveTime": "1s"},
    ],
)
def test_values_that_ask_for_what_is_done_anyway_yield_nothing(spec: dict[str, Any]) -> None:
    assert fields(spec) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"nextHopMode": "Keep"},
        {"keepOriginalNextHop": True},
        {"maxRestartTime": "2h"},
        {"maxRestartTime": "0s"},
        {"keepaliveTime": "500ms"},
        {"keepaliveTime": "7h"},
    ],
)
def test_values_that_cannot_be_obeyed_yield_a_notice(spec: dict[str, Any]) -> None:
    assert fields(spec) == [f"spec.{name}" for name in spec]


def test_a_selector_that_cannot_be_read_yields_a_notice() -> None:
    spec: dict[str, Any] = {"nodeSelector": "has(rack", "peerIP": "192.0.2.99"}
    [notice] = peer_notices(BGPPeer.make("tor", **spec))
    assert (notice.name, notice.field) == ("tor", "spec.nodeSelector")
    assert notice.reason.startswith("selector 'has(rack', column 4")
    assert notice.effect.startswith("it selects nothing")


def test_what_cannot_be_read_and_no_session_depends_on_yields_a_notice_and_the_rest_counts() -> None:
    spec: dict[str, Any] = {"serviceClusterIPs": [{"cidr": "10.96.0.1/12"}], "nodeMeshMaxRestartTime": "2 minutes"}
    found = [str(notice) for notice in configuration_notices(BGPConfiguration.make("default", **spec))]
    counts = "what of it can't be read counts as absent"
    assert found[:2] == [
        'BGPConfiguration "default" spec.serviceClusterIPs[0].cidr: "10.96.0.1/12" has bits set beyond its length:'
        f" 10.96.0.0/12 is meant?; {counts}",
        'BGPConfiguration "default" spec.nodeMeshMaxRestartTime: "2 minutes" is not a duration such as 90s or 1m30s;'
        f" {counts}",
    ]
    assert [notice.field for notice in peer_notices(peer(keepaliveTime="often"))] == ["spec.keepaliveTime"]


def test_a_link_local_gateway_yields_a_notice() -> None:
    assert fields({"peerIP": "2001:db8::9", "reachableBy": "fe80::1"}) == ["spec.reachableBy"]


def test_what_start_up_writes_is_obeyed() -> None:
    written = BGPConfiguration.make("default", logSeverityScreen="Info", serviceLoadBalancerAggregation="Enabled")
    assert configuration_notices(written) == ()


def test_of_a_nodes_configuration_the_port_alone_is_obeyed() -> None:
    written = BGPConfiguration.make("node.n1", listenPort=1179, bindMode="NodeIP", nodeMeshMaxRestartTime="60s")
    assert [notice.field for notice in configuration_notices(written)] == ["spec.nodeMeshMaxRestartTime"]


def test_what_a_nodes_configuration_says_of_the_whole_mesh_is_named() -> None:
    written = BGPConfiguration.make("node.n1", nodeToNodeMeshEnabled=False, asNumber=64513)
    found = {notice.field: notice.effect for notice in configuration_notices(written)}
    assert found == dict.fromkeys(("spec.nodeToNodeMeshEnabled", "spec.asNumber"), "the value there applies")


def test_what_is_set_for_a_mesh_that_is_switched_off_is_named() -> None:
    of_mesh: dict[str, Any] = {"nodeMeshPassword": PASSWORD, "nodeMeshMaxRestartTime": "60s"}
    off = BGPConfiguration.make("default", nodeToNodeMeshEnabled=False, **of_mesh)
    named = ["spec.nodeMeshPassword", "spec.nodeMeshMaxRestartTime"]
    assert [notice.field for notice in configuration_notices(off, has_secrets=True)] == named
    assert configuration_notices(BGPConfiguration.make("default", **of_mesh), has_secrets=True) == ()


def test_what_all_peers_may_send_is_not_said_by_a_nodes_configuration() -> None:
    annotations = {PREFIX_LIMIT: "50000", "team": "net"}
    (notice,) = configuration_notices(BGPConfiguration.make("node.n1", annotations=annotations))
    assert (notice.field, notice.effect) == (f"metadata.annotations[{PREFIX_LIMIT}]", "the value there applies")


def test_an_annotation_of_a_node_that_calico_does_not_have_is_named() -> None:
    known = {name: "x" for name in V3_FIELDS if not name.startswith("IPv") and name != "ASNumber"}
    written = Node.make("n1", annotations={"example.org/IPv4Adress": "x"}).with_data(
        IPv4Adress="192.0.2.1/24", labels="{}", **known | {"RouteReflectorClusterID": ""}
    )
    (notice,) = node_notices(written)
    assert (notice.field, notice.effect) == ("projectcalico.org/IPv4Adress", "it has no effect")


def test_a_configuration_of_another_name_has_no_effect_at_all() -> None:
    (notice,) = configuration_notices(BGPConfiguration.make("rack1", listenPort=1179))
    assert notice.field == ""


def test_a_filter_is_kept_and_not_applied() -> None:
    (notice,) = FILTER.notices(BGPFilter.make("reject-all", importV4=[{"action": "Reject"}]))
    assert (notice.name, notice.field) == ("reject-all", "")


def test_a_route_reflector_reflects_nothing() -> None:
    assert node_notices(Node.make("n1")) == ()
    (notice,) = node_notices(Node.make("n1").with_data(RouteReflectorClusterID="244.0.0.1"))
    assert notice.field == "projectcalico.org/RouteReflectorClusterID"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IPv4Address", "fd00::1/64"),
        ("IPv6Address", "192.0.2.1/24"),
        ("ASNumber", "many"),
        ("RouteReflectorClusterID", "fd00::1"),
    ],
)
def test_an_annotation_that_makes_no_sense_counts_as_absent_and_says_so(name: str, value: str) -> None:
    (notice,) = node_notices(Node.make("n1").with_data(**{name: value}))
    assert (notice.field, notice.effect) == (f"projectcalico.org/{name}", "it counts as absent")
