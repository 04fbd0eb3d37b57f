"""Cells as calicoctl prints them."""

from __future__ import annotations

from typing import Any

import pytest

from felixctl.resources.columns import TIER, field_at, node_as


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), ("", "none"), (True, "true"), (0, "0"), (["a", "b"], "a,b"), ([], ""), ("text", "text")],
)
def test_a_field_is_printed_as_go_prints_it(value: Any, text: str) -> None:
    assert field_at("spec", "field", otherwise="none")({"spec": {"field": value}}, 0) == text


def test_an_absent_field_at_any_depth_is_printed_as_its_substitute() -> None:
    for view in ({}, {"spec": None}, {"spec": {"bgp": 3}}):
        assert field_at("spec", "bgp", "asNumber", otherwise="-")(view, 0) == "-"


@pytest.mark.parametrize(
    ("order", "text"), [(None, ""), (10, "10"), (0.5, "0.5"), (999999, "999999"), (1e6, "1e+06"), (1.5e7, "1.5e+07")]
)
def test_an_order_is_printed_as_go_prints_a_float(order: float | None, text: str) -> None:
    cells = {column.heading: column.cell for column in TIER}
    assert cells["ORDER"]({"spec": {"order": order}}, 0) == text


def test_a_node_shows_its_own_as_or_the_clusters_in_parentheses_or_none_without_bgp() -> None:
    assert node_as({"spec": {"bgp": {"asNumber": 65001}}}, 64512) == "65001"
    assert node_as({"spec": {"bgp": {"ipv4Address": "192.0.2.1/24"}}}, 64512) == "(64512)"
    assert node_as({"spec": {}}, 64512) == ""
