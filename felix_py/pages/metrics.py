"""The agent's numbers as Prometheus metrics, read when scraped. Names follow Felix's where Felix has the thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from felix_py.status_model import AgentCounts, SessionStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class AgentMetrics(Collector):
    """Asks `counts` at each scrape. sessions: the BGP sessions at this moment."""

    def __init__(self, counts: Callable[[], AgentCounts], sessions: Sequence[SessionStatus] = ()) -> None:
        self._counts, self._sessions = counts, sessions

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
            ("felix_sidecar_differs", "1 while the sidecar speaks another protocol version", counts.sidecar_differs),
            ("felix_datastore_held_back", "1 while what the datastore says is not acted on", counts.held_back),
            ("felix_host_warnings", "What of the host keeps pods' packets from their way", counts.warnings),
            ("felix_invariants_violated", "Invariants violated at the last check", counts.invariants_violated),
        ):
            yield GaugeMetricFamily(name, text, value=int(value))
        notices = GaugeMetricFamily("felix_notices", "Fields, kinds and values that are not obeyed", labels=("kind",))
        for kind, count in sorted(counts.notices.items()):
            notices.add_metric((kind,), count)
        yield notices
        events = CounterMetricFamily("felix_datastore_events", "Objects that the watch reported", labels=("kind",))
        for kind, count in sorted(counts.datastore_events.items()):
            events.add_metric((kind,), count)
        yield events
        yield from _of_sessions(self._sessions)
        for name, text, value in (
            ("felix_route_puts", "Routes put into the kernel", counts.route_puts),
            ("felix_route_removes", "Routes removed from the kernel", counts.route_removes),
            ("felix_route_repairs", "Foreign changes of our routes repaired", counts.route_repairs),
            ("felix_route_silent_changes", "Routes that a dump found changed without an event", counts.silent_changes),
        ):
            yield CounterMetricFamily(name, text, value=value)


def _of_sessions(sessions: Sequence[SessionStatus]) -> Iterable[Metric]:
    """Yield what is counted by peer."""
    up = GaugeMetricFamily("felix_bgp_session_up", "1 while the BGP session is established", labels=("peer",))
    learned = GaugeMetricFamily("felix_bgp_routes_learned", "Routes of a peer that are taken", labels=("peer",))
    refused = GaugeMetricFamily(
        "felix_bgp_routes_refused", "Announcements of a peer that are not taken", labels=("peer", "reason")
    )
    used = GaugeMetricFamily("felix_bgp_peer_used", "What a peer uses of its limits", labels=("peer", "of"))
    limit = GaugeMetricFamily("felix_bgp_peer_limit", "What a peer may use", labels=("peer", "of"))
    disagreements = CounterMetricFamily(
        "felix_bgp_decoder_disagreements",
        "UPDATEs of a peer that ExaBGP and the sidecar read differently",
        labels=("peer",),
    )
    for session in sessions:
        if session.disagreements:
            disagreements.add_metric((session.address,), session.disagreements)
        up.add_metric((session.address,), session.is_up)
        learned.add_metric((session.address,), session.learned)
        for family, counted in ((refused, session.refused), (used, session.used), (limit, session.limits)):
            for label, count in counted.items():
                family.add_metric((session.address, label), count)
    yield from (up, learned, refused, used, limit, disagreements)


def exposition(counts: Callable[[], AgentCounts], sessions: Sequence[SessionStatus] = ()) -> bytes:
    """Return the metrics as a scraper reads them."""
    registry = CollectorRegistry()
    registry.register(AgentMetrics(counts, sessions))
    return generate_latest(registry)
