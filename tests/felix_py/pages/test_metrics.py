"""The metrics' names, which dashboards and alerts depend on."""

from __future__ import annotations

from felix_py.pages.metrics import exposition
from felix_py.status_model import AgentCounts, SessionStatus

COUNTS = AgentCounts(
    pods=2, nodes=3, ready=True, notices={"IPPool": 2, "BGPPeer": 1}, datastore_events={"Node": 5}, route_puts=7
)


def lines(counts: AgentCounts = COUNTS) -> list[str]:
    return exposition(lambda: counts).decode().splitlines()


def test_these_are_all_the_metrics_there_are() -> None:
    assert [line.split(" ", 2)[2] for line in lines() if line.startswith("# TYPE")] == [
        "felix_active_local_endpoints gauge",
        "felix_cluster_num_hosts gauge",
        "felix_route_table_num_routes gauge",
        "felix_routes_refused gauge",
        "felix_routes_unresolved gauge",
        "felix_blocks gauge",
        "felix_ready gauge",
        "felix_sidecar_connected gauge",
        "felix_sidecar_differs gauge",
        "felix_datastore_held_back gauge",
        "felix_host_warnings gauge",
        "felix_invariants_violated gauge",
        "felix_notices gauge",
        "felix_datastore_events_total counter",
        "felix_bgp_session_up gauge",
        "felix_bgp_routes_learned gauge",
        "felix_bgp_routes_refused gauge",
        "felix_bgp_peer_used gauge",
        "felix_bgp_peer_limit gauge",
        "felix_bgp_decoder_disagreements_total counter",
        "felix_route_puts_total counter",
        "felix_route_removes_total counter",
        "felix_route_repairs_total counter",
        "felix_route_silent_changes_total counter",
    ]


def test_each_metric_has_its_number() -> None:
    assert {"felix_active_local_endpoints 2.0", "felix_ready 1.0", "felix_route_puts_total 7.0"} < set(lines())


def test_notices_are_counted_by_kind() -> None:
    assert [line for line in lines() if line.startswith("felix_notices{")] == [
        'felix_notices{kind="BGPPeer"} 1.0',
        'felix_notices{kind="IPPool"} 2.0',
    ]


def test_what_the_datastore_reports_is_counted_by_kind() -> None:
    assert 'felix_datastore_events_total{kind="Node"} 5.0' in lines()


def test_each_metric_says_what_it_counts() -> None:
    assert sum(line.startswith("# HELP") and len(line.split()) > 4 for line in lines()) == 24


def test_sessions_are_counted_by_peer() -> None:
    session = SessionStatus(
        "192.0.2.9",
        state="up",
        learned=5,
        refused={"default route": 1},
        used={"paths": 6},
        limits={"paths": 20000},
        disagreements=3,
    )
    written = exposition(lambda: COUNTS, [session, SessionStatus("192.0.2.8", state="held back")]).decode()
    assert [line for line in written.splitlines() if line.startswith("felix_bgp")] == [
        'felix_bgp_session_up{peer="192.0.2.9"} 1.0',
        'felix_bgp_session_up{peer="192.0.2.8"} 0.0',
        'felix_bgp_routes_learned{peer="192.0.2.9"} 5.0',
        'felix_bgp_routes_learned{peer="192.0.2.8"} 0.0',
        'felix_bgp_routes_refused{peer="192.0.2.9",reason="default route"} 1.0',
        'felix_bgp_peer_used{of="paths",peer="192.0.2.9"} 6.0',
        'felix_bgp_peer_limit{of="paths",peer="192.0.2.9"} 20000.0',
        'felix_bgp_decoder_disagreements_total{peer="192.0.2.9"} 3.0',
    ]
