"""The loss of the datastore is held back; the loss of some objects is not."""

from __future__ import annotations

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable, WatchEvent
from felix_py.cluster.losses import Losses, Note
from tests.felix_py.fake_node import endpoint

OURS = ClusterInformation.make("default", clusterGUID="ours")
OTHER = ClusterInformation.make("default", clusterGUID="other")
NODES = [Node.make(f"n{number}") for number in range(20)]


def gone(resource: Resource) -> Gone:
    return Gone(type(resource), resource.name, resource.namespace, resource)


def reading(losses: Losses, *events: WatchEvent) -> list[WatchEvent]:
    assert [losses.add(event) for event in events] == [True, *[False] * (len(events) - 1)]
    return losses.take()


def noted(losses: Losses) -> Note:
    note = losses.note()
    assert note is not None
    return note


def in_sync() -> Losses:
    losses = Losses()
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
    for losses in (in_sync(), Losses(Note("ours"))):
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
    assert "nearly everything in the datastore went at once (15 of 16 records are missing)" in losses.held_back
    assert "remove the file known-records" in losses.held_back
    assert reading(losses, gone(IPPool.make("p", cidr="10.0.0.0/16"))) == []


@pytest.mark.parametrize("size", [10, 20, 200])
def test_records_that_return_are_not_the_cluster_until_most_of_it_is_back(size: int) -> None:
    nodes = [Node.make(f"n{number}") for number in range(size)]
    losses = Losses()
    reading(losses, Changed(OURS), *map(Changed, nodes), InSync())
    assert reading(losses, *map(gone, nodes)) == []
    count, folded = 0, list[WatchEvent]()
    while not folded:
        folded = reading(losses, Changed(nodes[count]))
        count += 1
    assert 0.7 * size <= count <= 0.85 * size
    assert [event for event in folded if isinstance(event, Changed)] == [*map(Changed, nodes[:count])]
    assert [event for event in folded if isinstance(event, Gone)] == [*map(gone, nodes[count:])]
    assert not losses.held_back
    assert reading(losses, gone(nodes[0])) == [gone(nodes[0])]


def test_a_restart_confirms_no_loss() -> None:
    losses = in_sync()
    assert not noted(losses).held
    reading(losses, *map(gone, NODES))
    note = noted(losses)
    assert note.held
    again = Losses(Note.of(note.to_text(), "ours"))
    assert reading(again, Changed(OURS), Changed(NODES[0]), Changed(NODES[1])) == []
    assert reading(again, InSync()) == []
    assert "(18 of 21 records are missing)" in again.held_back
    released = reading(again, *map(Changed, NODES[2:19]))
    assert Gone(Node, "n19") in released and InSync() in released
    assert not noted(again).held


def test_a_loss_while_no_agent_ran_is_found() -> None:
    note = noted(in_sync())
    losses = Losses(Note.of(note.to_text(), "ours"))
    assert reading(losses, Changed(OURS), Changed(NODES[0]))  # what is there is taken
    assert reading(losses, InSync()) == []
    assert "(19 of 21 records are missing)" in losses.held_back
    half = Losses(Note.of(note.to_text(), "ours"))
    assert InSync() in reading(half, Changed(OURS), *map(Changed, NODES[:10]), InSync())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cluster": "ours", "records": [1]}', "[" * 100_000, "\ud800"])
def test_a_note_of_another_cluster_or_none_holds_nothing_back(text: str) -> None:
    assert Note.of(text, "ours") == Note("ours")
    note = noted(in_sync())
    assert Note.of(note.to_text(), "other") == Note("other")
    assert Note.of(note.to_text(), "") == Note()  # the operator has confirmed that the cluster is another


def pods(count: int) -> list[WorkloadEndpoint]:
    return [endpoint(f"10.65.1.{n}/32", f"c{n}", f"web{n}") for n in range(count)]


def test_pods_that_have_ended_may_all_go_and_pods_that_run_may_not() -> None:
    for running in (False, True):
        losses = Losses(runs=lambda key, device, running=running: running and device == "cali0")  # type: ignore[misc]
        drained = pods(100)
        reading(losses, Changed(OURS), *map(Changed, drained), InSync())
        assert reading(losses, *map(gone, drained)) == ([] if running else [*map(gone, drained)])
        assert bool(losses.held_back) == running


def test_pods_that_end_while_a_loss_is_held_back_are_not_waited_for() -> None:
    ended: set[str] = set()
    losses = Losses(runs=lambda key, device: key.name not in ended)
    here = pods(100)
    reading(losses, Changed(OURS), *map(Changed, [*here, *NODES]), InSync())
    reading(losses, *map(gone, [*here, *NODES]))
    ended.update(pod.name for pod in here)
    assert reading(losses, *map(Changed, NODES))


def test_a_note_is_written_when_what_people_write_changes_or_much_does() -> None:
    losses = in_sync()
    assert losses.note() is not None
    assert losses.note() is None
    here = pods(8)
    for pod, due in zip(here, [False] * 5 + [True, False, False], strict=True):
        reading(losses, Changed(pod))
        assert (losses.note() is not None) == due
    reading(losses, Changed(Node.make("new")))
    assert losses.note() is None
    reading(losses, Changed(IPPool.make("p", cidr="10.0.0.0/16")))
    assert noted(losses).has_pools
    reading(losses, gone(IPPool.make("p", cidr="10.0.0.0/16")))
    assert not noted(losses).has_pools


def test_a_watch_that_is_begun_again_finds_what_went_meanwhile() -> None:
    losses = in_sync()
    losses.begin_again()
    assert reading(losses, Changed(OURS), *map(Changed, NODES[:19]))
    assert reading(losses, InSync()) == [Gone(Node, "n19"), InSync()]


def test_a_record_that_cannot_be_read_is_not_lost() -> None:
    losses = in_sync()
    unread = [Unreadable(Node, node.name, None, "no JSON") for node in NODES]
    assert reading(losses, *unread) == unread
    assert not losses.held_back


def test_a_cluster_without_an_identity_works() -> None:
    losses = Losses()
    assert reading(losses, Changed(NODES[0]), InSync())
    assert reading(losses, gone(NODES[0])) == [gone(NODES[0])]
