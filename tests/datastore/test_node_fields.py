"""Where a Node's values are in its two forms: what both forms are read by."""

from __future__ import annotations

from datastore.kinds.node import ANNOTATION_PREFIX, TUNNEL_ANNOTATIONS
from datastore.node_fields import TUNNEL_FIELDS, V3_FIELDS, written_value


def test_each_value_has_a_place_of_its_own_in_a_part_that_nodes_have() -> None:
    assert len(set(V3_FIELDS.values())) == len(V3_FIELDS)
    assert {path[0] for path in V3_FIELDS.values()} == {"spec", "status"}


def test_every_tunnels_address_is_among_them() -> None:
    names = [name.removeprefix(ANNOTATION_PREFIX) for name in TUNNEL_ANNOTATIONS.values()]
    assert names == [*TUNNEL_FIELDS] and TUNNEL_FIELDS.keys() <= V3_FIELDS.keys()
    assert [6 if kind.endswith("v6") else 4 for kind in TUNNEL_ANNOTATIONS] == [*TUNNEL_FIELDS.values()]


def test_an_annotation_comes_before_the_v3_form() -> None:
    spec = {"bgp": {"asNumber": 64513}}
    assert written_value("ASNumber", {"projectcalico.org/ASNumber": "64514"}, spec) == "64514"
    assert written_value("ASNumber", {"projectcalico.org/ASNumber": ""}, spec) == "64513"
    assert written_value("ASNumber", {}, {"bgp": "no mapping"}) == written_value("ASNumber", {}, None) == ""
