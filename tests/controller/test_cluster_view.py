from __future__ import annotations

from typing import Any

import pytest

from controller.cluster_view import ClusterView, KubeControllersConfiguration
from datastore.kinds.cluster import IMPORT_MARK, ClusterInformation
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent


def information(**spec: Any) -> ClusterInformation:
    said: dict[str, Any] = {"clusterGUID": "a", "datastoreReady": True, **spec}
    return ClusterInformation.make("default", **said)


def claim(host: str, number: int = 0, kind: str = "host") -> BlockAffinity:
    cidr = f"10.0.0.{number * 16}/28"
    return BlockAffinity.make(f"{host}-{number}", node=host, type=kind, cidr=cidr, state="confirmed", deleted="false")


def view_of(*events: WatchEvent) -> ClusterView:
    view = ClusterView()
    for event in events:
        view.fold(event)
    return view


def test_a_host_that_claims_blocks_and_is_no_node_is_gone() -> None:
    events = (
        Changed(Node.make("n1")),
        Changed(claim("n1")),
        Changed(claim("n2", 1)),
        Changed(claim("lb", 2, "virtual")),
    )
    view = view_of(*events)
    assert view.gone == frozenset()  # nothing has been read whole
    assert view.fold(InSync())
    assert view.gone == {"n2"}
    assert view.fold(Gone(Node, "n1"))
    assert view.gone == {"n1", "n2"}
    assert not view.fold(Changed(Node.make("n1")))
    view.fold(Gone(BlockAffinity, "n2-1"))
    assert view.gone == frozenset()


def test_a_claim_of_a_host_that_is_no_node_may_mean_one_that_is_gone() -> None:
    view = view_of(Changed(Node.make("n1")), InSync())
    assert not view.fold(Changed(claim("n1")))
    assert view.fold(Changed(claim("n2", 1)))


def test_a_node_that_cannot_be_read_is_there() -> None:
    assert view_of(Changed(claim("n1")), Unreadable(Node, "n1", None, "it is odd"), InSync()).gone == frozenset()


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((Changed(information()),), "has not been read yet"),
        ((InSync(),), "it may have been emptied"),
        ((Changed(information()), InSync(), Gone(ClusterInformation, "default")), "it may have been emptied"),
        ((Changed(information()), Changed(information(clusterGUID="b")), InSync()), "the cluster b instead of a"),
        ((Changed(information(datastoreReady=False)), InSync()), "has locked the datastore"),
        ((Changed(information().with_metadata(annotations={IMPORT_MARK: "1"})), InSync()), "import"),
        ((Changed(information()), InSync()), ""),
    ],
)
def test_why_nothing_is_given_back(events: tuple[WatchEvent, ...], why: str) -> None:
    paused = view_of(*events).paused
    assert why in paused
    assert bool(paused) is bool(why)


def test_another_cluster_is_found_out_by_the_next_watch_too() -> None:
    view = ClusterView("a")
    view.fold(Changed(information(clusterGUID="b")))
    view.fold(InSync())
    assert "the cluster b instead of a" in view.paused


def test_pools_and_the_configuration_are_known_until_they_are_gone() -> None:
    pool, configuration = IPPool.make("a", cidr="10.0.0.0/16"), KubeControllersConfiguration.make("default")
    view = view_of(Changed(pool), Changed(configuration))
    assert (view.pools, view.configuration) == ({"a": pool}, configuration)
    view.fold(Gone(IPPool, "a"))
    view.fold(Gone(KubeControllersConfiguration, "default"))
    assert (view.pools, view.configuration) == ({}, None)
