"""manifests/monitoring/felix-py.json, a dashboard for Grafana that shows every metric there is.

`python -m tests.monitoring` writes it from the metrics themselves: their names, types, labels and what they say of
themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from felix_py.pages.metrics import exposition
from felix_py.status_model import AgentCounts, SessionStatus

FOLDER = Path(__file__).parents[1] / "manifests" / "monitoring"
DASHBOARD = FOLDER / "felix-py.json"

SOURCE = {"type": "prometheus", "uid": "${source}"}
OF_NODE = 'node=~"$node"'
ROWS: Mapping[str, tuple[str, ...]] = {
    "Is all well?": (
        "felix_ready",
        "felix_sidecar_connected",
        "felix_sidecar_differs",
        "felix_bgp_session_up",
        "felix_datastore_held_back",
        "felix_invariants_violated",
        "felix_host_warnings",
        "felix_routes_refused",
        "felix_routes_unresolved",
    ),
    "BGP": ("felix_bgp_",),
    "Routes": ("felix_route",),
    "The rest": ("",),
}
"""Of each row what the names of its metrics begin with. A metric is in the first row that takes it."""
ACROSS, HEIGHT = 3, 7


class Metric(NamedTuple):
    """One family of series. name: that of its series. labels: beside those that Prometheus gives every series."""

    name: str
    text: str
    is_counter: bool
    labels: tuple[str, ...]


def metrics() -> tuple[Metric, ...]:
    """Return every metric of the agent, as a scraper reads it."""
    session = SessionStatus("192.0.2.2", refused={"a": 1}, used={"a": 1}, limits={"a": 1}, disagreements=1)
    counts = AgentCounts(notices={"a": 1}, datastore_events={"a": 1})
    return read(exposition(lambda: counts, [session]))


def read(page: bytes) -> tuple[Metric, ...]:
    """Return the metrics of a page that has a sample of each."""
    families = text_string_to_metric_families(page.decode())
    return tuple(
        Metric(family.samples[0].name, family.documentation, family.type == "counter", tuple(family.samples[0].labels))
        for family in families
    )


def query(metric: Metric) -> str:
    """Return what a panel asks for: one series a node, and for each of the metric's own labels."""
    series = f"{metric.name}{{{OF_NODE}}}"
    if metric.is_counter:
        series = f"rate({series}[$__rate_interval])"
    return f"sum by ({', '.join(('node', *metric.labels))}) ({series})"


def dashboard(found: Iterable[Metric]) -> dict[str, Any]:
    return {
        "uid": "felix-py",
        "title": "felix-py",
        "tags": ["felix-py", "kubernetes", "network"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source_variable(), _node_variable()]},
        "panels": list(_panels(tuple(found))),
    }


def _panels(found: tuple[Metric, ...]) -> Iterator[dict[str, Any]]:
    left, top, number = list(found), 0, 0
    for title, beginnings in ROWS.items():
        shown = [metric for beginning in beginnings for metric in left if metric.name.startswith(beginning)]
        shown = list(dict.fromkeys(shown))
        left = [metric for metric in left if metric not in shown]
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": _place(0, top, 24, 1)}
        top += 1
        for position, metric in enumerate(shown):
            number += 1
            width = 24 // ACROSS
            place = _place(position % ACROSS * width, top + position // ACROSS * HEIGHT, width, HEIGHT)
            yield _panel(number, metric, place)
        top += -(-len(shown) // ACROSS) * HEIGHT


def _panel(number: int, metric: Metric, place: dict[str, int]) -> dict[str, Any]:
    legend = " ".join(f"{{{{{label}}}}}" for label in ("node", *metric.labels))
    return {
        "id": number,
        "type": "timeseries",
        "title": f"{metric.text} per second" if metric.is_counter else metric.text,
        "description": metric.name,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"min": 0, "unit": "ops" if metric.is_counter else "short"}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": query(metric), "legendFormat": legend}],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _source_variable() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _node_variable() -> dict[str, Any]:
    return {
        "name": "node",
        "label": "Node",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(felix_ready, node)", "refId": "nodes"},
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(metrics()), indent=1) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(text())
