"""What a page of metrics says, read by Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from felix_py.exposition import Metric, counter, counter_by, exposition, gauge, gauge_by


def read(*metrics: Metric) -> list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]:
    """Return each metric's name, type, text and series."""
    families = text_string_to_metric_families(exposition(metrics).decode())
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(each.name, each.labels, each.value) for each in family.samples],
        )
        for family in families
    ]


def test_gauges_and_counters_are_read_as_what_they_are() -> None:
    assert read(gauge("routes", "Routes of ours", 7), counter("puts", "Routes put", 9)) == [
        ("routes", "gauge", "Routes of ours", [("routes", {}, 7)]),
        ("puts", "counter", "Routes put", [("puts_total", {}, 9)]),
    ]


def test_each_series_has_its_labels() -> None:
    routes = [(("a", "v4"), 1.0), (("a", "v6"), 2.5)]
    assert read(gauge_by("routes", "Of a peer", ("peer", "family"), routes)) == [
        (
            "routes",
            "gauge",
            "Of a peer",
            [("routes", {"peer": "a", "family": "v4"}, 1), ("routes", {"peer": "a", "family": "v6"}, 2.5)],
        )
    ]


def test_a_metric_without_series_is_named_all_the_same() -> None:
    assert read(counter_by("events", "What was reported", ("kind",), [])) == [
        ("events", "counter", "What was reported", [])
    ]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "a\\nb", "ä€", "", 'a="1",b="2"} 3'])
def test_a_label_may_have_any_value(text: str) -> None:
    [(_, _, _, [(_, labels, _)])] = read(gauge_by("up", "1 while it is up", ("peer",), [((text,), 1)]))
    assert labels == {"peer": text}


@pytest.mark.parametrize("number", [0, 1 << 53, 1e300, 1e-9, -2.5, float("inf"), True])
def test_a_number_is_read_as_it_is(number: float) -> None:
    [(_, _, _, [(_, _, value)])] = read(gauge("number", "A number", number))
    assert value == number
