"""What is decided about changes, whatever people write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.merge_patch import merged
from datastore.store import Create, Update
from felixctl.errors import RejectedError
from felixctl.resources import plan, view
from felixctl.resources.documents import Document
from felixctl.resources.kinds import NOUNS, noun
from felixctl.resources.plan import ClusterState, Manifest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["10.0.0.0/8", "all()", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


FIELDS = """
    cidr bgp peerIP nodeSelector interfaces podCIDRs node ipNetworks exportV4 labels annotations namespace wireguard
    ipv4Address asNumber resourceVersion blockSize order
"""


fields = st.sampled_from(FIELDS.split())


mappings = st.dictionaries(fields, json_values, max_size=4)


@given(
    st.sampled_from([noun.kind for noun in NOUNS] + ["Nonsense"]),
    st.sampled_from([view.SHOWN, view.STORED, view.CORE, "v9"]),
    mappings,
    mappings | json_values,
)
def test_whatever_is_written_is_applied_or_rejected_in_sentences(
    kind: str, version: str, metadata: dict[str, Any], spec: Any
) -> None:
    body = {"apiVersion": version, "kind": kind, "metadata": {**metadata, "name": "x"}, "spec": spec}
    try:
        [step] = plan.applied(plan.manifests_in([Document("f, line 1", body)]), ClusterState({}))
    except RejectedError as rejected:
        assert all(sentence.startswith("f, line 1: ") for sentence in rejected.sentences)
    else:
        assert isinstance(step, Create)
        assert view.of(step.resource)["kind"] == kind


def manifests_in(kind: str, name: str, **spec: Any) -> Manifest:
    body = {"apiVersion": view.SHOWN, "kind": kind, "metadata": {"name": name}, "spec": spec}
    [one] = plan.manifests_in([Document("f", body)])
    return one


def test_an_old_overlap_does_not_forbid_another_change() -> None:
    old = [IPPool.make("a", cidr="10.0.0.0/16"), IPPool.make("b", cidr="10.0.0.0/24")]
    one = manifests_in("IPPool", "c", cidr="10.1.0.0/16")
    assert plan.applied([one], ClusterState({}, pools=old))


def test_a_pool_a_node_or_a_service_range_that_makes_two_overlap_is_refused_whoever_comes_last() -> None:
    pool = manifests_in("IPPool", "p", cidr="192.0.2.0/24")
    node = manifests_in("Node", "n1", bgp={"ipv4Address": "192.0.2.1/24"})
    services = manifests_in("BGPConfiguration", "default", serviceClusterIPs=[{"cidr": "192.0.2.0/25"}])
    stored = {
        one.key.noun.kind: [step.resource for step in plan.applied([one], ClusterState({}))]
        for one in (pool, node, services)
    }
    states = {
        "Node": ClusterState({}, nodes=stored["Node"]),  # type: ignore[arg-type]
        "IPPool": ClusterState({}, pools=stored["IPPool"]),  # type: ignore[arg-type]
        "BGPConfiguration": ClusterState({}, bgp=stored["BGPConfiguration"]),  # type: ignore[arg-type]
    }
    for present, comes in (("Node", pool), ("IPPool", node), ("BGPConfiguration", pool), ("IPPool", services)):
        with pytest.raises(RejectedError, match=r'IPPool "p": cidr 192\.0\.2\.0/24 overlaps 192\.0\.2\.0/2[45], '):
            plan.applied([comes], states[present])


def test_a_pool_that_overlaps_already_can_be_changed_and_a_disabled_one_not_enabled() -> None:
    node = Node.make("n1").with_data(IPv4Address="192.0.2.1/24")
    old, disabled = IPPool.make("p", cidr="192.0.2.0/24"), IPPool.make("d", cidr="192.0.0.0/24", disabled=True)
    outside = IPPool.make("o", cidr="240.0.0.0/16", disabled=True)
    for pool, change, refused in (
        (old, {"natOutgoing": True}, False),
        (old, {"disabled": True}, False),
        (disabled, {"disabled": False}, False),
        (outside, {"disabled": False}, True),
        (outside, {"natOutgoing": True, "disabled": True}, False),
    ):
        one = manifests_in("IPPool", pool.name, cidr=pool.spec.cidr, **change)
        state = ClusterState({one.key: pool}, pools=[old, disabled, outside], nodes=[node])
        if refused:
            with pytest.raises(RejectedError, match=r"overlaps 240\.0\.0\.0/4"):
                plan.applied([one], state)
        else:
            assert plan.applied([one], state)


def test_the_network_of_a_pool_cannot_change() -> None:
    a = IPPool.make("a", cidr="10.0.0.0/16")
    one = manifests_in("IPPool", "a", cidr="10.1.0.0/16")
    with pytest.raises(RejectedError, match="cidr can't change"):
        plan.applied([one], ClusterState({one.key: a}, pools=[a]))


def test_a_new_object_has_a_name_that_kubernetes_takes_and_an_old_one_is_left_alone() -> None:
    one = manifests_in("IPPool", "a_b", cidr="10.0.0.0/16")
    with pytest.raises(RejectedError, match=r'IPPool "a_b": metadata\.name "a_b" is no name'):
        plan.applied([one], ClusterState({}))
    old = IPPool.make("a_b", cidr="10.0.0.0/16")
    assert plan.applied(
        [manifests_in("IPPool", "a_b", cidr="10.0.0.0/16", natOutgoing=True)], ClusterState({one.key: old})
    )


def test_an_object_that_is_as_written_needs_no_write() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    one = manifests_in("IPPool", "a", cidr="10.0.0.0/16")
    assert plan.applied([one], ClusterState({one.key: pool}, pools=[pool])) == []


def test_an_update_keeps_what_the_store_assigned() -> None:
    pool = IPPool.read(
        {
            "apiVersion": view.STORED,
            "kind": "IPPool",
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-22T20:18:26Z"},
            "spec": {"cidr": "10.0.0.0/16"},
            "status": {"conditions": []},
        }
    )
    one = manifests_in("IPPool", "a", cidr="10.0.0.0/16", natOutgoing=True)
    [step] = plan.applied([one], ClusterState({one.key: pool}, pools=[pool]))
    assert isinstance(step, Update)
    assert step.resource.to_json() == pool.to_json() | {"spec": {"cidr": "10.0.0.0/16", "natOutgoing": True}}


def test_a_nodes_kubernetes_side_is_left_alone() -> None:
    node = Node.read(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "n1",
                "labels": {"kubernetes.io/os": "linux"},
                "annotations": {"example.com/theirs": "kept", "projectcalico.org/IPv4Address": "192.0.2.1/24"},
            },
            "spec": {"podCIDR": "10.244.0.0/24", "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
        }
    )
    seen = view.of(node)
    changed = merged(seen, {"spec": {"bgp": {"asNumber": 65001}}, "metadata": {"labels": {"rack": "a"}}})
    key = plan.key_of(noun("node"), "n1", None)
    [step] = plan.edited(key, changed, ClusterState({key: node}, nodes=[node]))
    record = step.resource.to_json()
    assert (record["spec"], record["status"]) == (node.to_json()["spec"], node.to_json()["status"])
    assert record["metadata"]["labels"] == {"kubernetes.io/os": "linux"}
    assert record["metadata"]["annotations"] == {
        "example.com/theirs": "kept",
        "projectcalico.org/IPv4Address": "192.0.2.1/24",
        "projectcalico.org/ASNumber": "65001",
        "projectcalico.org/labels": '{"rack":"a"}',
    }
    assert isinstance(step.resource, Node)
    assert step.resource.labels == {"kubernetes.io/os": "linux", "rack": "a"}


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "kind", "apiVersion"]), mappings | json_values))
def test_whatever_a_patch_makes_of_a_resource_is_applied_or_rejected(patch: dict[str, Any]) -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    key = plan.key_of(noun("pool"), "a", None)
    changed = merged(view.of(pool), patch)
    try:
        steps = plan.edited(key, changed, ClusterState({key: pool}, pools=[pool]))
    except RejectedError as rejected:
        assert rejected.sentences
    else:
        assert all(step.resource.name == "a" for step in steps)


def test_a_patch_cannot_rename() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    key = plan.key_of(noun("pool"), "a", None)
    renamed = merged(view.of(pool), {"metadata": {"name": "b"}})
    with pytest.raises(RejectedError, match="can't change"):
        plan.edited(key, renamed, ClusterState({key: pool}, pools=[pool]))
