"""A node's data, read from annotations or from the v3 form."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from datastore.kinds.node import Node, NodeCondition

CALICO = Path(__file__).parents[2] / "fixtures" / "calico"


def node(**annotations: str) -> Node:
    return Node.make("n1", annotations={f"projectcalico.org/{key}": value for key, value in annotations.items()})


def test_a_node_is_read_from_its_annotations() -> None:
    full = node(
        IPv4Address="192.0.2.1/24",
        IPv6Address="2001:db8::1/64",
        ASNumber="1.10",
        RouteReflectorClusterID="244.0.0.1",
        IPv4IPIPTunnelAddr="10.65.0.1",
        IPv6VXLANTunnelAddr="fd00::1",
        labels='{"calico-only":"yes","rack":"calico"}',
    ).with_metadata(labels={"rack": "kubernetes"})
    assert str(full.ipv4) == "192.0.2.1/24"
    assert str(full.ipv6) == "2001:db8::1/64"
    assert full.as_number == 65546
    assert str(full.cluster_id) == "244.0.0.1"
    assert str(full.tunnel_address("ipip")) == "10.65.0.1"
    assert str(full.tunnel_address("vxlan-v6")) == "fd00::1"
    assert full.tunnel_address("vxlan") is None
    assert full.labels == {"calico-only": "yes", "rack": "kubernetes"}


def test_a_value_of_a_node_that_cannot_be_parsed_counts_as_absent() -> None:
    broken = node(
        IPv4Address="2001:db8::1/64", IPv6Address="nowhere", ASNumber="-1", RouteReflectorClusterID="fd00::1",
        IPv4IPIPTunnelAddr="fd00::1", labels="[]",
    )  # fmt: skip
    assert (broken.ipv4, broken.ipv6, broken.as_number, broken.cluster_id) == (None, None, None, None)
    assert (broken.tunnel_address("ipip"), broken.labels) == (None, {})


def test_an_empty_value_removes_the_annotation_of_a_node() -> None:
    changed = node(IPv4Address="192.0.2.1/24", ASNumber="64513").with_data(ASNumber="", IPv6Address="2001:db8::1/64")
    assert changed.metadata.annotations == {
        "projectcalico.org/IPv4Address": "192.0.2.1/24",
        "projectcalico.org/IPv6Address": "2001:db8::1/64",
    }


def test_annotations_of_others_stay_as_they_are() -> None:
    before = Node.make("n1", annotations={"projectcalico.org/IPv6Address": "fd00::1/64", "theirs": "x", "empty": ""})
    assert before.with_data(IPv6Address="").metadata.annotations == {"theirs": "x", "empty": ""}


def test_a_node_as_calicoctl_prints_it_is_read_too() -> None:
    text = (CALICO / "cli" / "get-node-with-tunnel-address.yaml").read_text()
    printed = Node.read(yaml.safe_load(text))
    assert str(printed.ipv4) == "192.0.2.2/24"
    assert str(printed.tunnel_address("ipip")) == "10.65.247.0"


def test_a_condition_keeps_the_time_since_when_it_says_so() -> None:
    up = NodeCondition("False", "CalicoIsUp", "all is well")
    first = Node.make("n1").with_network_unavailable(up, "2026-01-01T00:00:00Z")
    same = first.with_network_unavailable(up._replace(message="all is well again"), "2026-01-02T00:00:00Z")
    turned = same.with_network_unavailable(NodeCondition("True", "CalicoIsDown", ""), "2026-01-03T00:00:00Z")
    times = [(one.network_condition or {}).get("lastTransitionTime", "")[8:10] for one in (first, same, turned)]
    assert times == ["01", "01", "03"]
    assert turned.network_unavailable == NodeCondition("True", "CalicoIsDown", "")


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": ["x", {"type": 1}]}, {"conditions": {}}])
def test_a_status_without_conditions_gets_its_first(status: dict[str, object]) -> None:
    odd = Node.read({"metadata": {"name": "n1"}, "status": status})
    assert odd.network_unavailable is None
    assert odd.with_network_unavailable(NodeCondition("False", "a", "b"), "").network_unavailable == ("False", "a", "b")


def test_what_kubernetes_says_of_its_readiness() -> None:
    def with_conditions(*conditions: object) -> Node:
        return Node.read({**Node.make("n1").to_json(), "status": {"conditions": list(conditions)}})

    assert with_conditions({"type": "Ready", "status": "Unknown"}).ready == "Unknown"
    assert with_conditions({"type": "DiskPressure", "status": "False"}).ready == ""
    assert Node.make("n1").ready == ""
