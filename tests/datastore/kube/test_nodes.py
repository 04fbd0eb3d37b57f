from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.node import Node, NodeCondition
from datastore.kube.nodes import node_patch, other_changes


def node(annotations: dict[str, str] | None = None, **more: Any) -> Node:
    metadata = {
        "name": "n1",
        "resourceVersion": "7",
        "annotations": annotations or {},
        "labels": more.pop("labels", {}),
    }
    return Node.read({"apiVersion": "v1", "kind": "Node", "metadata": metadata, **more})


ADDRESS, AS_NUMBER = "projectcalico.org/IPv4Address", "projectcalico.org/ASNumber"


def test_what_changed_of_our_annotations_is_in_the_patch() -> None:
    before = node({ADDRESS: "192.0.2.1/24", AS_NUMBER: "1", "felix-py/claim": "x", "other": "a"})
    after = node({ADDRESS: "192.0.2.2/24", "felix-py/host": "h", "other": "a"})
    changes = {ADDRESS: "192.0.2.2/24", AS_NUMBER: None, "felix-py/claim": None, "felix-py/host": "h"}
    assert node_patch(before, after) == {"metadata": {"resourceVersion": "7", "annotations": changes}}
    assert other_changes(before, after) == []


def test_nothing_changed_is_no_patch() -> None:
    assert node_patch(node({"other": "a"}), node({"other": "a"})) == {}


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (node({"other": "b"}), ["metadata.annotations other"]),
        (node({}), ["metadata.annotations other"]),
        (node({"other": "a"}, labels={"rack": "1"}), ["metadata.labels rack"]),
        (node({"other": "a"}, spec={"podCIDR": "10.0.0.0/24"}), ["spec"]),
        (node({"other": "a"}, status={"phase": "x"}), ["status"]),
    ],
)
def test_what_is_kubernetes_to_change_is_named(after: Node, named: list[str]) -> None:
    assert other_changes(node({"other": "a"}), after) == named


READY = {"type": "Ready", "status": "True"}
UP = NodeCondition("False", "CalicoIsUp", "pods are routed")


def test_of_a_status_the_condition_of_the_network_is_in_the_patch_alone() -> None:
    before = node(status={"conditions": [READY], "addresses": []})
    after = before.with_network_unavailable(UP, "2026-01-02T15:04:05Z")
    assert node_patch(before, after) == {
        "metadata": {"resourceVersion": "7"},
        "status": {
            "conditions": [
                {
                    "type": "NetworkUnavailable",
                    "status": "False",
                    "reason": "CalicoIsUp",
                    "message": "pods are routed",
                    "lastHeartbeatTime": "2026-01-02T15:04:05Z",
                    "lastTransitionTime": "2026-01-02T15:04:05Z",
                }
            ]
        },
    }
    assert other_changes(before, after) == []
    assert node_patch(after, after) == {}


def test_a_condition_of_kubernetes_is_not_this_sides_to_change() -> None:
    before = node(status={"conditions": [READY]})
    after = node(status={"conditions": [{**READY, "status": "False"}]}).with_network_unavailable(UP, "")
    assert other_changes(before, after) == ["status"]
