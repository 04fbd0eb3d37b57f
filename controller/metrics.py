"""The controller's numbers as Prometheus metrics, read when scraped. Names are Calico's where Calico has the thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.report import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ControllerMetrics(Collector):
    """Asks for the report at each scrape."""

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report

    def collect(self) -> Iterable[Metric]:
        report = self._report()
        yield GaugeMetricFamily("felix_controller_leading", "1 while this controller leads", value=int(report.leads))


def exposition(report: Callable[[], Report]) -> bytes:
    """Return the metrics as a scraper reads them."""
    registry = CollectorRegistry()
    registry.register(ControllerMetrics(report))
    return generate_latest(registry)
