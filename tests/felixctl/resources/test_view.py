"""The stored and the shown form of a resource."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from datastore.resources import KINDS
from felixctl.resources import formats, kinds, view
from felixctl.resources.kinds import NOUNS
from tests.datastore.odd_records import odd_records
from tests.felixctl.golden import records
from tests.felixctl.resources.test_golden_resources import CRS


@pytest.mark.parametrize(
    "path", [*CRS.values(), "startup/ippools.yaml", "crs/ipamblocks.yaml", "crs/blockaffinities.yaml"]
)
def test_what_is_shown_and_stored_again_shows_the_same(path: str) -> None:
    for record in records(path):
        seen = view.shown(record)
        again = view.shown(view.stored(seen, record))
        assert again["metadata"].pop("generation", None) in (None, record["metadata"].get("generation"))
        seen["metadata"].pop("generation", None)
        assert again == seen


def test_a_record_without_a_kind_is_shown_by_the_kind_it_was_read_as() -> None:
    assert view.of(BGPPeer.read({"metadata": {"name": "a"}, "spec": {"peerIP": "192.0.2.9"}}))["kind"] == "BGPPeer"


@pytest.mark.parametrize("written", ["[" * 100_000, "[]", '{"a": 1, "b": {}}', "{", "null"])
def test_an_annotation_that_holds_no_texts_counts_as_absent(written: str) -> None:
    names = ("labels", "annotations", "metadata", "Interfaces", "ASNumber")
    node = Node.make("n1", annotations={f"projectcalico.org/{name}": written for name in names})
    seen = view.of(node)
    assert "labels" not in seen["metadata"]
    assert dict(node.labels) == {}
    peer = BGPPeer.make("p", annotations={"projectcalico.org/metadata": f'{{"labels": {written}}}'})
    assert "labels" not in view.of(peer)["metadata"]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(odd_records(), odd_records())
def test_whatever_can_be_read_can_be_shown_sorted_and_printed(one: dict[str, Any], other: dict[str, Any]) -> None:
    for noun in NOUNS:
        views = []
        for record in (one, other):
            try:
                views.append(view.of(KINDS[noun.stored_kind].read(record)))
            except Invalid:
                continue
        ordered = sorted(views, key=partial(kinds.order, noun))
        for name, template in (("ps", ""), ("wide", ""), ("yaml", ""), ("json", ""), ("name", ""), ("jsonpath", "..a")):
            formats.rendered(name, template, noun, ordered, ordered, namespaces=True, cluster_as=1).encode()
