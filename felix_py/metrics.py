"""The agent's numbers as Prometheus metrics, read when scraped. Names follow Felix's where Felix has the thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from felix_py.status_model import AgentCounts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class AgentMetrics(Collector):
    """Asks `counts` at each scrape."""

    def __init__(self, counts: Callable[[], AgentCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        counts = self._counts()
        for name, text, value in (
            ("felix_active_local_endpoints", "Pods of this node that have routes", counts.pods),
            ("felix_cluster_num_hosts", "Nodes of the cluster", counts.nodes),
            ("felix_route_table_num_routes", "Routes of ours in the kernel", counts.routes_held),
            ("felix_routes_refused", "Routes that the kernel refused", counts.routes_refused),
            ("felix_routes_unresolved", "Routes whose next hop or device is missing", counts.routes_unresolved),
            ("felix_blocks", "Confirmed blocks of this node", counts.blocks),
            ("felix_ready", "1 once pods may be attached", counts.ready),
            ("felix_sidecar_connected", "1 while the BGP sidecar is connected", counts.sidecar_connected),
            ("felix_datastore_held_back", "1 while what the datastore says is not acted on", counts.held_back),
            ("felix_host_warnings", "What of the host keeps pods' packets from their way", counts.warnings),
            ("felix_invariants_violated", "Invariants violated at the last check", counts.invariants_violated),
        ):
            yield GaugeMetricFamily(name, text, value=int(value))
        notices = GaugeMetricFamily("felix_notices", "Fields, kinds and values that are not obeyed", labels=("kind",))
        for kind, count in sorted(counts.notices.items()):
            notices.add_metric((kind,), count)
        yield notices
        for name, text, value in (
            ("felix_route_puts", "Routes put into the kernel", counts.route_puts),
            ("felix_route_removes", "Routes removed from the kernel", counts.route_removes),
            ("felix_route_repairs", "Foreign changes of our routes repaired", counts.route_repairs),
            ("felix_route_silent_changes", "Routes that a dump found changed without an event", counts.silent_changes),
        ):
            yield CounterMetricFamily(name, text, value=value)


def exposition(counts: Callable[[], AgentCounts]) -> bytes:
    """Return the metrics as a scraper reads them."""
    registry = CollectorRegistry()
    registry.register(AgentMetrics(counts))
    return generate_latest(registry)
