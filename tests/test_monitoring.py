"""manifests/monitoring: alerts and dashboard speak of metrics that exist, and of all of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from controller.metrics import exposition
from controller.report import Report
from felix_py.configuration.settings import settings_from
from tests import monitoring
from tests.monitoring import FOLDER, metrics

NAMES = {metric.name for metric in metrics()}
CONTROLLERS = set(re.findall(r"^# TYPE (\w+)", exposition(lambda: Report(True, "a", 0.0)).decode(), re.MULTILINE))
[RULE] = yaml.safe_load_all((FOLDER / "alerts.yaml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULE["spec"]["groups"] for rule in group["rules"]]
SCRAPING = FOLDER / "scraping.yaml"
DASHBOARD: dict[str, Any] = json.loads(monitoring.DASHBOARD.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def named(expression: str) -> set[str]:
    return set(re.findall(r"\bfelix_\w+", expression))


def test_the_dashboard_follows_from_the_metrics() -> None:
    assert monitoring.DASHBOARD.read_text() == monitoring.text(), "run: .venv/bin/python -m tests.monitoring"


def test_every_metric_has_one_panel() -> None:
    shown = [name for panel in PANELS for name in named(panel["targets"][0]["expr"])]
    assert sorted(shown) == sorted(NAMES)


def test_no_two_panels_lie_over_each_other() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23


def test_a_counter_is_shown_as_a_rate_and_by_its_own_labels() -> None:
    [events] = [panel for panel in PANELS if panel["description"] == "felix_datastore_events_total"]
    expected = 'sum by (node, kind) (rate(felix_datastore_events_total{node=~"$node"}[$__rate_interval]))'
    assert events["targets"][0]["expr"] == expected


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_about_metrics_and_labels_that_exist(alert: dict[str, Any]) -> None:
    used = named(alert["expr"])
    assert used <= NAMES | CONTROLLERS and (used or alert["alert"] == "FelixAgentAway")
    labels = {"node", *(label for metric in metrics() if metric.name in used for label in metric.labels)}
    texts = alert["annotations"]["summary"] + alert["annotations"]["description"]
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= labels
    assert alert["labels"]["severity"] in ("critical", "warning", "info") and alert["for"]


def test_what_makes_a_node_useless_has_an_alert() -> None:
    watched = {name for alert in ALERTS for name in named(alert["expr"])}
    assert {
        "felix_ready",
        "felix_bgp_session_up",
        "felix_sidecar_connected",
        "felix_datastore_held_back",
        "felix_invariants_violated",
        "felix_host_warnings",
        "felix_routes_refused",
    } <= watched


@pytest.mark.parametrize(
    ("name", "port", "file"),
    [
        ("felix-py-node", settings_from({}).health_port, "node.yaml"),
        ("felix-py-controller", settings_from({}).controller_port, "controller.yaml"),
    ],
)
def test_prometheus_is_sent_to_the_port_where_the_metrics_are(name: str, port: int, file: str) -> None:
    found = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(SCRAPING.read_text())}
    service, monitor = found["Service", name], found["ServiceMonitor", name]
    [served], [endpoint] = service["spec"]["ports"], monitor["spec"]["endpoints"]
    assert (served["port"], endpoint["port"], endpoint["path"]) == (port, served["name"], "/metrics")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [pods] = [
        one
        for one in yaml.safe_load_all((FOLDER.parent / "base" / file).read_text())
        if one["kind"] in ("DaemonSet", "Deployment")
    ]
    assert service["spec"]["selector"].items() <= pods["spec"]["template"]["metadata"]["labels"].items()
