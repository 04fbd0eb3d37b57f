"""Lists whose objects are all plainly valid, and some that have one which is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datastore.kinds.ipam import BlockAffinity
from datastore.kube.folded_metadata import folded
from datastore.kube.objects import read_record
from datastore.kube.plain_lists import ArrivingPods, OddObject, plain_handles, plain_objects, stored_affinity
from datastore.kube.pods import ALLOWED_SOURCES
from datastore.names import ENCAPSULATED
from datastore.plain_claims import plain_pool
from tests.datastore.kube.test_handle_table import ROW, table
from tests.datastore.kube.test_list_message import field, message

AFFINITY = BlockAffinity.make(
    "n1-10-65-0-0-26",
    labels={"projectcalico.org/affinity-type": "host", "team": "red"},
    state="confirmed",
    node="n1",
    cidr="10.65.0.0/26",
    deleted="false",
)


def page(*objects: Any) -> bytes:
    return json.dumps({"kind": "List", "metadata": {"resourceVersion": "7"}, "items": objects}).encode()


def pool(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool", "metadata": {"name": name}, "spec": spec}


def test_the_objects_of_a_list_are_read_in_their_order() -> None:
    found = plain_objects(page(pool("b", cidr="10.66.0.0/16"), pool("a", cidr="10.65.0.0/16")), plain_pool)
    assert [one.name for one in found] == ["b", "a"]
    assert plain_objects(page(), plain_pool) == []


@pytest.mark.parametrize("body", [page(pool("a", cidr="10.65.0.0/16"), pool("b", cidr="?")), b"[]", b"{", b"\xff"])
def test_a_list_with_an_odd_object_is_left_to_the_store(body: bytes) -> None:
    with pytest.raises(OddObject):
        plain_objects(body, plain_pool)


def stored(affinity: BlockAffinity) -> dict[str, Any]:
    record = affinity.to_json()
    return {**record, "metadata": folded(BlockAffinity, record["metadata"])}


def test_an_affinity_has_the_labels_that_its_clients_know() -> None:
    record = stored(AFFINITY)
    assert "team" not in record["metadata"]["labels"] and ENCAPSULATED in record["metadata"]["annotations"]
    text = json.dumps(record).encode()
    found, full = stored_affinity(text), read_record(BlockAffinity, text)
    assert found
    assert (found.metadata.labels, found.name) == (full.metadata.labels, full.name)
    assert (found.spec.node, found.network, found.confirmed) == ("n1", full.network, True)
    assert found.metadata.labels == AFFINITY.metadata.labels
    bare = json.dumps(AFFINITY.with_metadata(labels=None).to_json()).encode()
    assert (one := stored_affinity(bare)) and one.metadata.labels == {}


def test_an_affinity_that_is_flagged_as_deleted_is_left_to_the_store() -> None:
    assert stored_affinity(json.dumps(stored(AFFINITY.with_spec(deleted="true"))).encode()) is None


def test_a_table_of_handles_is_read_where_none_is_odd() -> None:
    assert [one.name for one in plain_handles(table(ROW))] == [ROW[0]]
    for odd in (table(ROW, [*ROW[:3], True, "7"]), b"{}"):
        with pytest.raises(OddObject):
            plain_handles(odd)


def entry(key: str, value: str) -> bytes:
    return field(12, field(1, key.encode()) + field(2, value.encode()))


def pod(name: str, *, node: str = "n1", annotations: bytes = b"", address: str = "10.65.0.1") -> bytes:
    metadata = field(1, name.encode()) + field(3, b"red") + field(6, b"7") + annotations
    return field(1, metadata) + field(2, field(10, node.encode())) + field(3, field(6, address.encode()))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pods_are_read_while_they_arrive_without_those_that_have_no_endpoint(size: int) -> None:
    sent = message(pod("a"), pod("waits", node=""), pod("b", address="10.65.0.2"))
    pods = ArrivingPods()
    for at in range(0, len(sent), size):
        pods.feed(sent[at : at + size])
    assert [(one.spec.pod, str(one.addresses[0])) for one in pods.end()] == [("a", "10.65.0.1"), ("b", "10.65.0.2")]


@pytest.mark.parametrize(
    "odd", [pod("odd", address="somewhere"), pod("odd", annotations=entry(ALLOWED_SOURCES, "[]")), b"\xff"]
)
def test_a_pod_that_only_its_reader_can_judge_is_left_to_the_store(odd: bytes) -> None:
    with pytest.raises(ValueError):
        ArrivingPods().feed(message(pod("a"), odd))


def test_a_list_of_pods_that_is_not_over_is_none() -> None:
    pods = ArrivingPods()
    pods.feed(message(pod("a"), pod("b"))[:-1])
    with pytest.raises(ValueError, match="too early"):
        pods.end()
