"""An Event about a Node."""

from __future__ import annotations

from datastore.kinds.event import NAMESPACE, Event
from datastore.kinds.node import Node

NODE = Node.read({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u1"}})
NOW = "2026-01-02T15:04:05Z"


def test_it_is_about_the_node_and_kept_where_those_of_cluster_wide_objects_are() -> None:
    event = Event.about(NODE, "n1.a", "Warning", "BGPSessionDown", "192.0.2.2 is not up", 1, NOW)
    record = event.to_json()
    assert (event.namespace, event.name) == (NAMESPACE, "n1.a")
    assert record["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1"}
    assert record["source"] == {"component": "felix-py", "host": "n1"}
    assert (record["type"], record["reason"], record["count"]) == ("Warning", "BGPSessionDown", 1)


def test_said_again_it_has_another_time_and_count() -> None:
    event = Event.about(NODE, "n1.a", "Normal", "BGPSessionUp", "over", 3, NOW)
    assert event.said_again() == {"message": "over", "lastTimestamp": NOW, "count": 3}
