"""Labels, annotations and times where libcalico keeps them, beside what a real Calico wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datastore.kinds.bgp import BGPPeer
from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.passthrough import PASSTHROUGH
from datastore.kube.folded_metadata import folded, unfolded
from datastore.names import ENCAPSULATED
from datastore.resources import kind_named
from tests.felixctl.golden import records

NOW = "2026-01-02T15:04:05Z"
FILES = (
    *("bgpconfigurations", "bgppeers", "blockaffinities", "ipamblocks", "ipamhandles"),
    "kubecontrollersconfigurations",
)
AT_START = ("bgpconfigurations", "clusterinformations", "felixconfigurations", "ippools", "tiers")
GOLDEN = [one for name in FILES for one in records(f"crs/{name}.yaml")] + [
    one for name in AT_START for one in records(f"startup/{name}.yaml")
]


def inner(metadata: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(metadata["annotations"][ENCAPSULATED]))


@pytest.mark.parametrize("record", GOLDEN, ids=lambda one: f"{one['kind']} {one['metadata']['name']}"[:60])
def test_what_calico_wrote_is_written_back_as_it_was(record: dict[str, Any]) -> None:
    metadata = record["metadata"]
    shown = unfolded(metadata)
    assert ENCAPSULATED not in shown.get("annotations", {})
    assert folded(kind_named(record["kind"]), shown) == metadata


@pytest.mark.parametrize("record", GOLDEN, ids=lambda one: f"{one['kind']} {one['metadata']['name']}"[:60])
def test_a_new_object_is_written_as_calico_writes_it(record: dict[str, Any]) -> None:
    metadata, own = record["metadata"], ("uid", "resourceVersion", "creationTimestamp", "generation")
    fresh = {key: value for key, value in unfolded(metadata).items() if key not in own}
    written = folded(kind_named(record["kind"]), fresh, metadata["creationTimestamp"])
    assert written == {key: value for key, value in metadata.items() if key not in own}


def test_labels_and_annotations_of_a_users_are_in_the_annotation_alone() -> None:
    given = {"name": "p", "labels": {"rack": "a", "projectcalico.org/x": "1"}, "annotations": {"note": "<&>"}}
    written = folded(BGPPeer, given, NOW)
    assert written["labels"] == {"projectcalico.org/x": "1"}
    assert written["annotations"] == {
        ENCAPSULATED: f'{{"creationTimestamp":"{NOW}","labels":{{"projectcalico.org/x":"1","rack":"a"}},'
        '"annotations":{"note":"\\u003c\\u0026\\u003e"}}'
    }
    assert unfolded(written) == {**given, "creationTimestamp": NOW}


def test_a_label_that_is_taken_away_is_gone_from_both() -> None:
    written = folded(BGPPeer, {"name": "p", "labels": {"rack": "a", "projectcalico.org/x": "1"}}, NOW)
    changed = folded(BGPPeer, {**unfolded(written), "labels": {"row": "2"}})
    assert "labels" not in changed and inner(changed)["labels"] == {"row": "2"}
    assert unfolded(changed) == {"name": "p", "creationTimestamp": NOW, "labels": {"row": "2"}}


def test_what_kubectl_wrote_is_read_as_it_is_and_keeps_its_time() -> None:
    plain = {"name": "p", "labels": {"rack": "a"}, "creationTimestamp": NOW}
    assert unfolded(plain) == plain
    assert inner(folded(BGPPeer, plain)) == {"creationTimestamp": NOW, "labels": {"rack": "a"}}
    assert inner(folded(IPAMHandle, plain)) == {"creationTimestamp": None, "labels": {"rack": "a"}}


def test_the_label_that_the_annotation_says_wins() -> None:
    both = {
        "name": "p",
        "labels": {"rack": "own", "row": "1"},
        "annotations": {ENCAPSULATED: '{"labels":{"rack":"a"}}'},
    }
    assert unfolded(both)["labels"] == {"rack": "a", "row": "1"}


def test_a_policy_says_its_name_when_it_is_made_and_keeps_what_it_says() -> None:
    policy = PASSTHROUGH["GlobalNetworkPolicy"]
    made = folded(policy, {"name": "web"}, NOW)
    assert inner(made) == {"name": "web", "creationTimestamp": NOW}
    assert folded(policy, unfolded(made)) == {**made, "creationTimestamp": NOW}
    of_before = {"name": "default.web", "annotations": {ENCAPSULATED: '{"creationTimestamp":null}'}}
    assert inner(folded(policy, unfolded(of_before))) == {"creationTimestamp": None}


@pytest.mark.parametrize("broken", ["", "{", "[]", "null", "[" * 100_000, '{"labels": 3, "annotations": {"a": 1}}'])
def test_an_annotation_that_cannot_be_read_says_nothing(broken: str) -> None:
    metadata = {"name": "p", "labels": {"rack": "a"}, "annotations": {ENCAPSULATED: broken}}
    assert unfolded(metadata) == {"name": "p", "labels": {"rack": "a"}}


@pytest.mark.parametrize("odd", [{"labels": [1]}, {"annotations": "x"}])
def test_metadata_that_is_none_is_left_to_its_reader(odd: dict[str, Any]) -> None:
    metadata = {"name": "p", "annotations": {ENCAPSULATED: "{}"}, **odd}
    assert unfolded(metadata) == metadata
