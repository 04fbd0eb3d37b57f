"""The agent's numbers as Prometheus metrics, read when scraped. Names follow Felix's where Felix has the thing.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from felix_py.exposition import Metric, counter, counter_by, gauge, gauge_by
from felix_py.status_model import AgentCounts, SessionStatus


def metrics(counts: AgentCounts, sessions: Sequence[SessionStatus] = ()) -> Iterable[Metric]:
    """Yield every metric of the agent. sessions: the BGP sessions at this moment."""
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
        yield gauge(name, text, value)
    by_kind = ("kind",)
    notices = [((kind,), count) for kind, count in sorted(counts.notices.items())]
    yield gauge_by("felix_notices", "Fields, kinds and values that are not obeyed", by_kind, notices)
    events = [((kind,), count) for kind, count in sorted(counts.datastore_events.items())]
    yield counter_by("felix_datastore_events", "Objects that the watch reported", by_kind, events)
    yield from _of_sessions(sessions)
    for name, text, value in (
        ("felix_route_puts", "Routes put into the kernel", counts.route_puts),
        ("felix_route_removes", "Routes removed from the kernel", counts.route_removes),
        ("felix_route_repairs", "Foreign changes of our routes repaired", counts.route_repairs),
        ("felix_route_silent_changes", "Routes that a dump found changed without an event", counts.silent_changes),
    ):
        yield counter(name, text, value)


def _of_sessions(sessions: Sequence[SessionStatus]) -> Iterable[Metric]:
    """Yield what is counted by peer."""
    up = [((each.address,), each.is_up) for each in sessions]
    yield gauge_by("felix_bgp_session_up", "1 while the BGP session is established", ("peer",), up)
    learned = [((each.address,), each.learned) for each in sessions]
    yield gauge_by("felix_bgp_routes_learned", "Routes of a peer that are taken", ("peer",), learned)
    refused = [((each.address, reason), count) for each in sessions for reason, count in each.refused.items()]
    text = "Announcements of a peer that are not taken"
    yield gauge_by("felix_bgp_routes_refused", text, ("peer", "reason"), refused)
    used = [((of, each.address), count) for each in sessions for of, count in each.used.items()]
    yield gauge_by("felix_bgp_peer_used", "What a peer uses of its limits", ("of", "peer"), used)
    limits = [((of, each.address), count) for each in sessions for of, count in each.limits.items()]
    yield gauge_by("felix_bgp_peer_limit", "What a peer may use", ("of", "peer"), limits)
