"""Nothing in a document goes unmentioned: it is stored, refused, or said not to be taken."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.record import Resource
from felixctl.resources import contents, plan, view
from felixctl.resources.documents import Document
from felixctl.resources.manifests import Manifest, manifests_in
from tests.felixctl.golden import records


def manifest(kind: str, metadata: dict[str, Any] | None = None, version: str = view.SHOWN, **rest: Any) -> Manifest:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **(metadata or {})}, **rest}
    [one] = manifests_in([Document("f", body)]).manifests
    return one


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (manifest("BGPPeer", sepc={}), ["there is no field sepc; did you mean spec?"]),
        (manifest("Tier", order=3), ["there is no field order"]),
        (manifest("BGPPeer", {"lables": {}}), ["there is no field metadata.lables; did you mean labels?"]),
        (
            manifest("Node", {"labels": {"rack": 1, "edge": True, "zone": "a"}}),
            [
                'metadata.labels.rack is 1, a number: put it in quotes, "1"',
                'metadata.labels.edge is true, a boolean: put it in quotes, "true"',
            ],
        ),
        (
            manifest("BGPPeer", {"annotations": {"a": 1.5, "b": [], "c": {}}}),
            [
                'metadata.annotations.a is 1.5, a number: put it in quotes, "1.5"',
                "metadata.annotations.b is a list, and should be a text",
                "metadata.annotations.c is a mapping, and should be a text",
            ],
        ),
        (manifest("IPPool", {"labels": ["a"]}), ["metadata.labels is not a mapping of texts to texts"]),
        (
            manifest("Node", spec={"bgp": {"ipv4Adress": "192.0.2.1/24"}, "taints": []}),
            ["there is no field spec.taints", "there is no field spec.bgp.ipv4Adress; did you mean ipv4Address?"],
        ),
        (manifest("Node", spec="x", status=[]), ["spec is not a mapping", "status is not a mapping"]),
        (
            manifest("Node", spec={"wireguard": 3, "bgp": {"ipv4IPIPTunnelAddr": 4}}),
            [
                'spec.bgp.ipv4IPIPTunnelAddr is 4, a number: put it in quotes, "4"',
                "spec.wireguard is not a mapping",
            ],
        ),
        (manifest("Node", spec={"bgp": None}, status=None), []),
        (manifest("Node", version="v1", spec={"taints": []}, status={"images": []}), []),
        (manifest("BGPPeer", {"uid": "u", "managedFields": [], "resourceVersion": "1"}, status={}, spec={}), []),
    ],
)
def test_what_a_kind_does_not_have_is_named(one: Manifest, expected: list[str]) -> None:
    assert list(contents.mistakes(one)) == expected


def test_a_label_without_a_value_has_an_empty_one_as_in_go() -> None:
    one = manifest("BGPPeer", {"labels": {"a": None, "b": 1}, "annotations": None}, sepc={})
    assert list(contents.mistakes(one))[1:] == ['metadata.labels.b is 1, a number: put it in quotes, "1"']
    assert contents.cleaned(one.written)["metadata"] == {"name": "x", "labels": {"a": ""}, "annotations": {}}
    assert "sepc" not in contents.cleaned(one.written)


def stored(one: Manifest, old: Resource | None = None) -> tuple[str, ...]:
    return contents.not_taken(one, plan.resource(one, old), old)


def test_what_the_datastore_or_an_agent_sets_is_named_if_the_file_says_otherwise() -> None:
    one = manifest("BGPPeer", {"uid": "u", "resourceVersion": "1", "finalizers": ["f"]}, status={"a": 1}, spec={})
    new = ("metadata.uid", "metadata.finalizers", "metadata.resourceVersion", "status")
    assert stored(one) == new
    old = plan.resource(manifest("BGPPeer"), None)
    assert stored(one, old) == ("metadata.uid", "metadata.finalizers", "status")
    assert stored(manifest("Node", spec={"orchRefs": [{"nodeName": "y"}]}, status={"podCIDRs": ["10.0.0.0/24"]})) == (
        "spec.orchRefs",
        "status.podCIDRs",
    )


@pytest.mark.parametrize(
    "path", ["crs/bgppeers.yaml", "crs/ippools.yaml", "crs/nodes.yaml", "startup/felixconfigurations.yaml"]
)
def test_what_was_printed_says_nothing_that_is_not_taken(path: str) -> None:
    for record in records(path):
        seen = view.shown(record)
        [one] = manifests_in([Document("f", seen)]).manifests
        old = one.key.model.read(record)
        assert list(contents.mistakes(one)) == []
        assert stored(one, old) == ()
        [raw] = manifests_in([Document("f", record)]).manifests
        assert list(contents.mistakes(raw)) == []
        assert stored(raw, old) == ()
