"""The controller's numbers as Prometheus metrics, read when scraped. Names are Calico's where Calico has the thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.figures import Counts, by_node
from controller.report import Report, Work

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LABELS = ("ippool", "node")
F = TypeVar("F", GaugeMetricFamily, CounterMetricFamily)


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
        yield from _of_addresses(work)


def _of_addresses(work: Work) -> Iterable[Metric]:
    """Yield Calico's metrics of addresses: those of the last round."""
    found = work.figures
    for name, text, counts in (
        ("ipam_allocations_in_use", "Assigned addresses", found.in_use),
        ("ipam_allocations_borrowed", "Assigned addresses of blocks that are not the node's", found.borrowed),
        ("ipam_blocks", "Blocks", found.blocks),
        ("ipam_allocations_gc_candidates", "Addresses that look leaked", found.candidates),
    ):
        yield _by_pool_and_node(GaugeMetricFamily(name, text, labels=_LABELS), counts)
    given_back = "Addresses that were given back"
    counter = CounterMetricFamily("ipam_allocations_gc_reclamations", given_back, labels=_LABELS)
    yield _by_pool_and_node(counter, work.reclaimed)
    sizes = GaugeMetricFamily("ipam_ippool_size", "Addresses of a pool", labels=("ippool",))
    for pool, size in found.sizes.items():
        sizes.add_metric((pool,), size)
    yield sizes
    for name, text, counts in (
        ("ipam_allocations_per_node", "Assigned addresses of a node", found.in_use),
        ("ipam_allocations_borrowed_per_node", "Of those, from blocks that are not the node's", found.borrowed),
        ("ipam_blocks_per_node", "Blocks of a node", found.blocks),
    ):
        family = GaugeMetricFamily(name, text, labels=("node",))
        for node, count in by_node(counts).items():
            family.add_metric((node,), count)
        yield family


def _by_pool_and_node(family: F, counts: Counts) -> F:
    for (pool, node), count in sorted(counts.items()):
        family.add_metric((pool, node), count)
    return family


def exposition(report: Callable[[], Report]) -> bytes:
    """Return the metrics as a scraper reads them."""
    registry = CollectorRegistry()
    registry.register(ControllerMetrics(report))
    return generate_latest(registry)
