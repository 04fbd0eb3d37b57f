from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from datastore.errors import BadRecord
from datastore.kinds.ipam import BlockAffinity, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube.objects import by_kind, entry, is_meant, outline, read_record, read_written, summarized
from datastore.record import CRD, V3
from datastore.store import Interest, Unreadable
from datastore.summaries import ENDPOINTS
from datastore.watch import Key


def raw(record: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(record).encode())


POOL = {
    "apiVersion": CRD,
    "kind": "IPPool",
    "metadata": {"name": "a", "resourceVersion": "3"},
    "spec": {"cidr": "10.0.0.0/16"},
}
POD = {"metadata": {"name": "w", "namespace": "red"}, "spec": {"nodeName": "n1"}, "status": {"podIP": "10.0.0.1"}}
ALL_POOLS, ALL_PODS = (Interest(IPPool),), (Interest(WorkloadEndpoint),)


def test_an_object_is_read_without_the_servers_own_notes() -> None:
    noted = {**POOL, "metadata": {**POOL["metadata"], "managedFields": [{"manager": "x"}], "generation": 2}}  # type: ignore[dict-item]
    found = read_record(IPPool, raw(noted))
    assert found.to_json() == POOL


SENT = IPAMHandle.make("h", handle_id="H", block={"10.0.0.0/26": 1})
STORED_METADATA = {
    "name": "h",
    "uid": "9ba47ba5-c3ab-48d5-b6a3-83ba3cbd9fb1",
    "resourceVersion": "7",
    "managedFields": [{"manager": "x"}],
    "annotations": {"projectcalico.org/metadata": '{"creationTimestamp":null,"labels":{"a":"b"}}'},
}


@pytest.mark.parametrize("api_version", [CRD, V3])
def test_what_was_written_is_known_by_an_answer_with_metadata_alone_as_by_a_whole_one(api_version: str) -> None:
    alone = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": STORED_METADATA}
    whole = {**SENT.to_json(), "apiVersion": api_version, "metadata": STORED_METADATA}
    written = read_written(SENT, api_version, json.dumps(alone).encode())
    assert (written.revision, written.spec) == ("7", SENT.spec)
    assert written.metadata == read_written(SENT, api_version, json.dumps(whole).encode()).metadata


def test_metadata_that_cannot_be_read_is_a_bad_record() -> None:
    odd = {"kind": "PartialObjectMetadata", "metadata": {"name": "h", "resourceVersion": 7}}
    with pytest.raises(BadRecord, match='the metadata of IPAMHandle "h"'):
        read_written(SENT, CRD, json.dumps(odd).encode())


def test_a_core_object_of_a_list_gets_its_kind() -> None:
    assert read_record(Node, raw({"metadata": {"name": "n1"}})).to_json()["kind"] == "Node"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"metadata": 5}', b"[" * 100_000])
def test_what_is_no_object_is_invalid(body: bytes) -> None:
    with pytest.raises(BadRecord):
        read_record(IPPool, body)


def test_an_entry_is_the_object_or_none_where_it_is_gone() -> None:
    key, found = entry(IPPool, ALL_POOLS, raw(POOL))
    assert key == Key("IPPool", "", "a") and isinstance(found, IPPool)
    assert entry(IPPool, ALL_POOLS, raw(POOL), gone=True) == (key, None)


def test_an_object_flagged_as_deleted_is_gone() -> None:
    handle = IPAMHandle.make("h", handle_id="h", block={}, deleted=True)
    assert entry(IPAMHandle, (Interest(IPAMHandle),), raw(handle.to_json()))[1] is None


def test_an_object_that_cannot_be_read_is_named() -> None:
    key, found = entry(IPPool, ALL_POOLS, raw({**POOL, "spec": {"cidr": "nowhere"}}))
    assert key.name == "a"
    assert isinstance(found, Unreadable) and 'spec.cidr "nowhere"' in found.reason


def test_a_pod_is_its_endpoint_and_one_without_is_gone() -> None:
    key, found = entry(WorkloadEndpoint, ALL_PODS, raw(POD))
    assert key == Key("WorkloadEndpoint", "red", "n1-k8s-w-eth0") and isinstance(found, WorkloadEndpoint)
    waiting = {**POD, "spec": {}}
    assert entry(WorkloadEndpoint, ALL_PODS, raw(waiting))[1] is None
    assert entry(WorkloadEndpoint, ALL_PODS, raw(POD), gone=True) == (key, None)


def test_a_pod_that_cannot_be_read_is_named_as_its_endpoint() -> None:
    key, found = entry(WorkloadEndpoint, ALL_PODS, raw({**POD, "status": {"podIP": "nowhere"}}))
    assert key.name == "n1-k8s-w-eth0" and isinstance(found, Unreadable)
    assert key.name in found.reason


AFFINITY = BlockAffinity.make("x", labels={"a": "1"}, state="pending", node="n1", cidr="10.0.0.0/26", deleted="false")


@pytest.mark.parametrize(
    ("interest", "meant"),
    [
        (Interest(BlockAffinity), True),
        (Interest(BlockAffinity, node="n1"), True),
        (Interest(BlockAffinity, node="n2"), False),
        (Interest(BlockAffinity, labels={"a": "1"}), True),
        (Interest(BlockAffinity, labels={"a": "2"}), False),
        (Interest(BlockAffinity, node="n1", labels={"b": "1"}), False),
        (Interest(BlockAffinity, name="x"), True),
        (Interest(BlockAffinity, node="n1", name="y"), False),
    ],
)
def test_an_interest_means_what_meets_all_its_conditions(interest: Interest[Any], meant: bool) -> None:
    assert is_meant(interest, AFFINITY) is meant
    assert (entry(BlockAffinity, (interest,), raw(AFFINITY.to_json()))[1] is not None) is meant


def test_any_of_several_interests_in_a_kind_is_enough() -> None:
    interests = [Interest(BlockAffinity, node="n2"), Interest(IPPool), Interest(BlockAffinity, labels={"a": "1"})]
    found = by_kind(interests)
    assert found == {BlockAffinity: (interests[0], interests[2]), IPPool: (interests[1],)}
    assert entry(BlockAffinity, found[BlockAffinity], raw(AFFINITY.to_json()))[1] is not None


def test_what_is_no_object_of_kubernetes_is_told_apart() -> None:
    with pytest.raises(msgspec.DecodeError):
        outline(b"[]")


@pytest.mark.parametrize("spec", [{"nodeName": 5}, None, [], "text"])
def test_whatever_an_object_holds_it_has_a_name(spec: object) -> None:
    written = raw({"metadata": {"name": "odd", "resourceVersion": "7"}, "spec": spec})
    key, found = entry(IPPool, (Interest(IPPool),), written)
    assert key.name == "odd" and isinstance(found, Unreadable)
    assert entry(IPPool, (), written, gone=True) == (key, None)


@pytest.mark.parametrize("record", [{}, {"metadata": {"name": "w", "namespace": "red", "labels": {"a": 3}}}])
def test_of_a_pod_that_cannot_be_read_nothing_is_summed_up(record: dict[str, Any]) -> None:
    assert isinstance(summarized(ENDPOINTS, raw(record)), Unreadable)
