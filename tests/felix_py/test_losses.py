"""The loss of the datastore is held back; the loss of some objects is not."""

from __future__ import annotations

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, WatchEvent
from felix_py.losses import Losses

OURS = ClusterInformation.make("default", clusterGUID="ours")
OTHER = ClusterInformation.make("default", clusterGUID="other")
NODES = [Node.make(f"n{number}") for number in range(20)]


def gone(resource: Resource) -> Gone:
    return Gone(type(resource), resource.name, resource.namespace, resource)


def reading(losses: Losses, *events: WatchEvent) -> list[WatchEvent]:
    assert [losses.add(event) for event in events] == [True, *[False] * (len(events) - 1)]
    return losses.take()


def in_sync(guid: str = "") -> Losses:
    losses = Losses(guid)
    events: list[WatchEvent] = [Changed(OURS), *map(Changed, NODES), InSync()]
    assert reading(losses, *events) == events
    return losses


def test_the_first_identity_that_is_seen_is_the_clusters() -> None:
    assert in_sync().guid == "ours"
    assert not in_sync().held_back


def test_a_datastore_without_its_identity_is_away_and_not_empty() -> None:
    losses = in_sync()
    assert reading(losses, gone(OURS), gone(NODES[0])) == []
    assert "no ClusterInformation default instead of the cluster ours" in losses.held_back
    assert reading(losses, gone(NODES[1])) == []
    assert losses.count == 3


def test_a_datastore_of_another_cluster_is_not_acted_on_even_after_a_restart() -> None:
    for losses in (in_sync(), Losses("ours")):
        assert reading(losses, Changed(OTHER), Changed(IPPool.make("new", cidr="10.99.0.0/16"))) == []
        assert "the cluster other instead of the cluster ours" in losses.held_back
        assert "remove the file cluster-guid" in losses.held_back


def test_when_the_cluster_is_back_what_is_still_gone_is_gone() -> None:
    losses = in_sync()
    reading(losses, gone(OURS), gone(NODES[0]), gone(NODES[1]))
    back = (Changed(OURS), Changed(NODES[0]))
    assert reading(losses, *back) == [gone(NODES[1]), *back]
    assert not losses.held_back
    assert not losses.count


def test_nearly_everything_at_once_is_held_back_and_some_of_it_is_not() -> None:
    losses = in_sync()
    assert reading(losses, *map(gone, NODES[:5])) == [*map(gone, NODES[:5])]
    assert reading(losses, *map(gone, NODES[5:])) == []
    assert "nearly everything in the datastore went at once (15 objects)" in losses.held_back
    assert reading(losses, gone(IPPool.make("p", cidr="10.0.0.0/16"))) == []
    assert reading(losses, Changed(NODES[5]))[-1] == Changed(NODES[5])


def test_one_object_that_returns_is_not_the_cluster() -> None:
    losses = in_sync()
    reading(losses, *map(gone, NODES))
    assert reading(losses, Changed(NODES[0])) == []
    assert "went at once (19 objects)" in losses.held_back
    back = [Changed(node) for node in NODES[1:19]]
    assert reading(losses, *back) == [gone(NODES[19]), Changed(NODES[0]), *back]
    assert not losses.held_back


def test_a_cluster_without_an_identity_works() -> None:
    losses = Losses()
    assert reading(losses, Changed(NODES[0]), InSync())
    assert reading(losses, gone(NODES[0])) == [gone(NODES[0])]
