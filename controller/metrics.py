"""The controller's numbers as Prometheus metrics, read when scraped. Names are Calico's where Calico has the thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.report import Report

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ControllerMetrics(Collector):
    """Asks for the report at each scrape."""

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report

    def collect(self) -> Iterable[Metric]:
        report = self._report()
        work = report.work
        yield GaugeMetricFamily("felix_controller_leading", "1 while this controller leads", value=int(report.leads))
        held = "Reasons why nothing is given back at present"
        yield GaugeMetricFamily("felix_controller_held", held, value=len(work.held))
        unreadable = "Records of addresses that could not be read in the last round"
        yield GaugeMetricFamily("felix_controller_unreadable_records", unreadable, value=work.unreadable)
        if work.last_round is not None:
            ago = "How long ago the last round over the whole cluster ended"
            yield GaugeMetricFamily("felix_controller_last_round_seconds", ago, value=work.last_round)
        for what in ("addresses", "handles", "blocks"):
            text = f"What was given back since this controller leads: {what}"
            yield CounterMetricFamily(f"felix_controller_released_{what}", text, value=getattr(work, what))


def exposition(report: Callable[[], Report]) -> bytes:
    """Return the metrics as a scraper reads them."""
    registry = CollectorRegistry()
    registry.register(ControllerMetrics(report))
    return generate_latest(registry)
