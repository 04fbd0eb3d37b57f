"""Where a Node's values are in its two forms: what both forms are read by."""

from __future__ import annotations

from datastore.kinds.node import ANNOTATION_PREFIX, TUNNEL_ANNOTATIONS
from datastore.node_fields import V3_FIELDS


def test_each_value_has_a_place_of_its_own_in_a_part_that_nodes_have() -> None:
    assert len(set(V3_FIELDS.values())) == len(V3_FIELDS)
    assert {path[0] for path in V3_FIELDS.values()} == {"spec", "status"}


def test_every_tunnels_address_is_among_them() -> None:
    assert {name.removeprefix(ANNOTATION_PREFIX) for name in TUNNEL_ANNOTATIONS.values()} <= V3_FIELDS.keys()
