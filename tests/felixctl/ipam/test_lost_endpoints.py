"""Endpoints whose pods are gone, and what a node holds."""

from __future__ import annotations

from msgspec.structs import replace

from datastore.kinds.node import Node
from datastore.store import Unreadable
from felixctl.ipam import lost_endpoints
from felixctl.ipam.lost_endpoints import Holdings
from tests.felixctl.ipam.cluster import CLUSTER, DB, DB_HANDLE


def test_in_a_cluster_without_faults_no_endpoint_is_lost() -> None:
    assert list(lost_endpoints.sentences(CLUSTER)) == []
    assert lost_endpoints.without_lost(CLUSTER) is CLUSTER


def test_an_endpoint_of_a_removed_node_and_one_without_a_device_are_lost_with_what_they_keep() -> None:
    removed = replace(CLUSTER, nodes=[node for node in CLUSTER.nodes if node.name != "node-3"])
    [sentence] = lost_endpoints.sentences(removed)
    assert sentence == f"Workload(default/{DB}) keeps 10.65.77.7 of {DB_HANDLE}: its node node-3 was removed"
    detached = replace(CLUSTER, without_device={("default", DB)})
    [sentence] = lost_endpoints.sentences(detached)
    assert sentence.startswith(f"Workload(default/{DB}) keeps 10.65.77.7 of {DB_HANDLE}: its cali")
    assert sentence.endswith(" is gone from node node-3, so its DEL was lost")
    assert DB not in [one.name for one in lost_endpoints.without_lost(detached).endpoints]


def test_a_node_whose_record_cannot_be_read_was_not_removed() -> None:
    nodes = [node for node in CLUSTER.nodes if node.name != "node-3"]
    unread = replace(CLUSTER, nodes=nodes, unread=[Unreadable(Node, "node-3", None, 'Node "node-3": spec')])
    assert list(lost_endpoints.lost_endpoints(unread)) == []


def test_what_a_node_holds_is_counted_and_named() -> None:
    assert str(Holdings("node-3", CLUSTER)) == (
        f"1 endpoint (Workload(default/{DB})), 1 address (10.65.77.7), 1 handle, 1 block (10.65.77.0/26)"
    )
    assert str(Holdings("nowhere", CLUSTER)) == ""
