"""What is decided about changes, whatever people write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.merge_patch import merged
from datastore.store import Create, Update
from felixctl.errors import RejectedError
from felixctl.resources import plan, view
from felixctl.resources.documents import Document
from felixctl.resources.kinds import NOUNS, noun
from felixctl.resources.manifests import Manifest, key_of, manifests_in
from felixctl.resources.plan import ClusterState

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
        [step] = plan.decided(manifests_in([Document("f, line 1", body)]), ClusterState({}), plan.applied)
    except RejectedError as rejected:
        assert all(sentence.startswith("f, line 1: ") for sentence in rejected.sentences)
    else:
        assert isinstance(step, Create)
        assert view.of(step.resource)["kind"] == kind


def manifest(kind: str, name: str, namespace: str | None = None, /, **spec: Any) -> Manifest:
    body = {"apiVersion": view.SHOWN, "kind": kind, "metadata": {"name": name}, "spec": spec}
    [one] = manifests_in([Document("f", body)], namespace).manifests
    return one


def test_what_kubernetes_has_to_make_first_is_missed_before_anything_is_written() -> None:
    items = [
        manifest("IPPool", "pods", cidr="10.65.0.0/16"),
        manifest("NetworkSet", "a", "shop"),
        manifest("NetworkSet", "b", "store"),
        manifest("Node", "n9"),
    ]
    assert len(plan.applied(items, ClusterState({}))) == len(items)
    with pytest.raises(RejectedError) as rejected:
        plan.applied(items, ClusterState({}, namespaces=frozenset({"store"})))
    assert rejected.value.sentences == (
        'f: NetworkSet "a" of namespace shop: there is no Namespace shop: create it first',
        'f: Node "n9": there is no such Node, and on Kubernetes its kubelet makes it',
    )


def test_an_old_overlap_does_not_forbid_another_change() -> None:
    old = [IPPool.make("a", cidr="10.0.0.0/16"), IPPool.make("b", cidr="10.0.0.0/24")]
    one = manifest("IPPool", "c", cidr="10.1.0.0/16")
    assert plan.applied([one], ClusterState({}, pools=old))


def test_a_pool_a_node_or_a_service_range_that_makes_two_overlap_is_refused_whoever_comes_last() -> None:
    pool = manifest("IPPool", "p", cidr="192.0.2.0/24")
    node = manifest("Node", "n1", bgp={"ipv4Address": "192.0.2.1/24"})
    services = manifest("BGPConfiguration", "default", serviceClusterIPs=[{"cidr": "192.0.2.0/25"}])
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
        one = manifest("IPPool", pool.name, cidr=pool.spec.cidr, **change)
        state = ClusterState({one.key: pool}, pools=[old, disabled, outside], nodes=[node])
        if refused:
            with pytest.raises(RejectedError, match=r"overlaps 240\.0\.0\.0/4"):
                plan.applied([one], state)
        else:
            assert plan.applied([one], state)


def test_the_network_of_a_pool_cannot_change() -> None:
    a = IPPool.make("a", cidr="10.0.0.0/16")
    one = manifest("IPPool", "a", cidr="10.1.0.0/16")
    with pytest.raises(RejectedError, match="cidr can't change"):
        plan.applied([one], ClusterState({one.key: a}, pools=[a]))


def test_a_new_object_has_a_name_that_kubernetes_takes_and_an_old_one_is_left_alone() -> None:
    one = manifest("IPPool", "a_b", cidr="10.0.0.0/16")
    with pytest.raises(RejectedError, match=r'IPPool "a_b": metadata\.name "a_b" is no name'):
        plan.applied([one], ClusterState({}))
    old = IPPool.make("a_b", cidr="10.0.0.0/16")
    assert plan.applied([manifest("IPPool", "a_b", cidr="10.0.0.0/16", natOutgoing=True)], ClusterState({one.key: old}))


def test_a_label_that_kubernetes_does_not_take_is_left_alone_where_it_is_there() -> None:
    plain = manifest("IPPool", "a", cidr="10.0.0.0/16", natOutgoing=True)
    one = replace(plain, written={**plain.written, "metadata": {"name": "a", "labels": {"rack a": "b"}}})
    with pytest.raises(RejectedError, match=r'IPPool "a": metadata\.labels "rack a" is no key of a label'):
        plan.applied([one], ClusterState({}))
    old = IPPool.make("a", cidr="10.0.0.0/16", labels={"rack a": "b"})
    [step] = plan.applied([one], ClusterState({one.key: old}, pools=[old]))
    assert isinstance(step, Update)


def test_an_object_that_is_as_written_needs_no_write() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    one = manifest("IPPool", "a", cidr="10.0.0.0/16")
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
    one = manifest("IPPool", "a", cidr="10.0.0.0/16", natOutgoing=True)
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
    key = key_of(noun("node"), "n1", None)
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
    key = key_of(noun("pool"), "a", None)
    changed = merged(view.of(pool), patch)
    try:
        steps = plan.edited(key, changed, ClusterState({key: pool}, pools=[pool]))
    except RejectedError as rejected:
        assert rejected.sentences
    else:
        assert all(step.resource.name == "a" for step in steps)


def test_a_patch_cannot_rename() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    key = key_of(noun("pool"), "a", None)
    renamed = merged(view.of(pool), {"metadata": {"name": "b"}})
    with pytest.raises(RejectedError, match="can't change"):
        plan.edited(key, renamed, ClusterState({key: pool}, pools=[pool]))


def test_the_mistakes_of_files_of_objects_and_between_objects_are_told_at_once() -> None:
    a = IPPool.make("a", cidr="10.0.0.0/16")
    documents = [
        Document(f"line {number}", {"apiVersion": view.SHOWN, **body})
        for number, body in enumerate(
            (
                {"kind": "Profile", "metadata": {"name": "p"}},
                {"kind": "BGPPeer", "metadata": {"name": "p", "labels": {"rack": 1}}, "spec": {"peerIP": "x", "ip": 1}},
                {"kind": "IPPool", "metadata": {"name": "b"}, "spec": {"cidr": "10.0.0.0/24"}},
                {"kind": "IPPool", "metadata": {"name": "c"}, "spec": {"cidr": "10.1.0.0/16"}, "specs": {}},
            )
        )
    ]
    with pytest.raises(RejectedError) as rejected:
        plan.decided(manifests_in(documents), ClusterState({}, pools=[a]), plan.applied)
    told = "\n".join(rejected.value.sentences)
    for part in ("'Profile' of Calico", "metadata.labels.rack is 1", '"x" is not an IP address', "field specs"):
        assert part in told
    assert 'IPPool "b": cidr 10.0.0.0/24 overlaps 10.0.0.0/16 of IPPool "a"' in told


def test_a_copy_that_is_stale_is_refused_unless_nothing_is_to_be_done() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16").with_metadata(resource_version="7")

    def decided(revision: str | None, **spec: Any) -> list[Any]:
        body = view.of(pool)
        body = {**body, "spec": {**body["spec"], **spec}}
        body["metadata"] = {**body["metadata"], "resourceVersion": revision}
        [one] = manifests_in([Document("f", body)]).manifests
        return plan.applied([one], ClusterState({one.key: pool}, pools=[pool]))

    with pytest.raises(RejectedError, match="read, at revision 6; it is at 7 now: read it again, or leave"):
        decided("6", disabled=True)
    assert decided("6") == []
    assert len(decided("7", disabled=True)) == 1
    assert len(decided(None, disabled=True)) == 1


def test_a_time_that_no_session_can_have_is_refused_where_it_is_new() -> None:
    one = manifest("BGPPeer", "p", peerIP="192.0.2.9", asNumber=64600, keepaliveTime="6h5m")
    with pytest.raises(RejectedError, match="keepaliveTime 6h5m is not between 1s and 21845s"):
        plan.applied([one], ClusterState({}))
    old = BGPPeer.make("p", peerIP="192.0.2.9", asNumber=64601, keepaliveTime="6h5m")
    assert len(plan.applied([one], ClusterState({one.key: old}))) == 1, "one that is stored may be changed otherwise"


def test_what_exists_is_an_objection_beside_what_is_wrong() -> None:
    pool = IPPool.make("a", cidr="10.0.0.0/16")
    one, wrong = manifest("IPPool", "a", cidr="10.0.0.0/16"), manifest("IPPool", "b", cidr="pods")
    with pytest.raises(RejectedError, match=r'"a" exists already.*"pods" is not a CIDR'):
        plan.created([one, wrong], ClusterState({one.key: pool}))
    with pytest.raises(RejectedError, match=r'"b" does not exist.*"pods" is not a CIDR'):
        plan.replaced([one, wrong], ClusterState({one.key: pool}))
    assert plan.created([one], ClusterState({one.key: pool}), skip_existing=True) == []


def test_a_label_that_kubernetes_keeps_is_not_changed_without_effect() -> None:
    node = Node.read({"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}}})
    key = key_of(noun("node"), "n1", None)
    changed = merged(view.of(node), {"metadata": {"labels": {"kubernetes.io/os": "plan9", "rack": "a"}}})
    with pytest.raises(RejectedError, match=r'label kubernetes\.io/os is "linux" in Kubernetes, and stays so'):
        plan.edited(key, changed, ClusterState({key: node}))
