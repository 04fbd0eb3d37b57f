"""From whom a route was learned, and why another was not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from explain.session import learned_from, not_learned
from explain.step import StepState
from felix_py.status_model import SessionStatus, SidecarStatus
from tests.explain.cluster import RECORDS, TwoNodes


def fault(cluster: TwoNodes) -> tuple[str, str, str]:
    step = not_learned(cluster.leg(), cluster.n1, "it is dropped")
    assert step.state is StepState.BROKEN
    return step.where, step.about, step.text


def with_sessions(*sessions: SessionStatus, **more: Any) -> TwoNodes:
    cluster = TwoNodes()
    return replace(cluster, n1=replace(cluster.n1, peers=sessions, **more))


def session(**changes: Any) -> SessionStatus:
    return replace(TwoNodes().n1.peers[0], **changes)


def test_a_route_names_the_peer_it_came_from_even_if_that_is_not_its_next_hop() -> None:
    reflector = SessionStatus("192.0.2.9", "global", "up", 1795381700.0)
    cluster = with_sessions(*TwoNodes().n1.peers, reflector)
    (step,) = learned_from(cluster.leg(), cluster.n1, replace(cluster.learned, peers=("192.0.2.9",)))
    assert step.state is StepState.OK
    assert step.text.startswith("learned over the session with 192.0.2.9, up since 2026-")


def test_a_route_learned_from_several_peers_names_each() -> None:
    cluster = with_sessions(*TwoNodes().n1.peers, SessionStatus("192.0.2.9", state="up"))
    steps = learned_from(cluster.leg(), cluster.n1, replace(cluster.learned, peers=("192.0.2.2", "192.0.2.9")))
    assert [step.text.split()[5].rstrip(",") for step in steps] == ["192.0.2.2", "192.0.2.9"]


def test_a_session_that_is_away_while_its_routes_are_kept_is_a_doubt_and_no_break() -> None:
    cluster = with_sessions(session(state="start", info="", last_error="hold timer expired", stale=1, since=None))
    (step,) = learned_from(cluster.leg(), cluster.n1, cluster.learned)
    assert step.state is StepState.DOUBTFUL
    assert step.text.endswith("which is away since an unknown time: hold timer expired")
    assert step.effect.startswith("1 routes of it are kept")


def test_a_route_whose_session_is_unknown_says_whether_the_sidecar_is_away() -> None:
    cluster = with_sessions(sidecar=SidecarStatus(False, "no such socket"))
    (step,) = learned_from(cluster.leg(), cluster.n1, cluster.learned)
    assert "learned from 192.0.2.2" in step.text
    assert "the BGP sidecar is away: no such socket" in step.text


@pytest.mark.parametrize(
    ("sessions", "cause"),
    [
        ((), "no BGP session with n2 is configured"),
        ((session(state="start", info="Active: connection refused"),), "connection refused"),
        (
            (session(state="start", info="NOTIFICATION 2/2", as_number=64999),),
            "wrong AS, n2 is AS 64512 and AS 64999 is configured for it",
        ),
        ((session(state="held back", info="filters are not supported"),), "held back: filters are not supported"),
        ((session(refused={"loop": 2}),), "10.65.2.0/26 was not learned from n2, though the session with 192.0.2.2"),
    ],
    ids=["none", "down", "wrong AS", "held back", "refused"],
)
def test_a_session_that_brings_no_route(sessions: tuple[SessionStatus, ...], cause: str) -> None:
    where, about, text = fault(with_sessions(*sessions))
    assert (where, about) == ("n1", "session")
    assert cause in text


def test_without_a_session_the_routes_refused_of_other_peers_are_named_with_their_reasons() -> None:
    reflector = SessionStatus("192.0.2.90", "global", "up", refused={"inside a pool": 2, "default route": 1})
    _, _, text = fault(with_sessions(reflector))
    assert text.endswith("n1 has refused 3 routes of 192.0.2.90 (default route; inside a pool)")


def test_a_mesh_that_is_off_is_named() -> None:
    cluster = replace(with_sessions(), records=replace(RECORDS, mesh=False))
    assert "the mesh is off" in fault(cluster)[2]


def test_a_sidecar_that_is_away_is_named() -> None:
    assert (
        "the BGP sidecar is away (no such socket)"
        in fault(with_sessions(sidecar=SidecarStatus(False, "no such socket")))[2]
    )


def test_a_pool_that_is_not_exported_is_why_nothing_was_learned() -> None:
    records = replace(RECORDS, pools=(replace(RECORDS.pools[0], exported=False),))
    where, about, text = fault(TwoNodes(records=records))
    assert (where, about) == ("n2", "announcement")
    assert "pool pods has disableBGPExport" in text


def test_a_node_that_announces_nothing_is_where_it_breaks() -> None:
    cluster = TwoNodes()
    cluster.n2 = replace(cluster.n2, announced=())
    assert fault(cluster)[:2] == ("n2", "announcement")


def test_an_address_that_no_node_has_claimed_is_reported() -> None:
    cluster = TwoNodes()
    step = not_learned(cluster.leg(goal="10.65.9.9"), cluster.n1, "it is dropped")
    assert step.text == "no route to 10.65.9.9, and no node has claimed a block with it"
