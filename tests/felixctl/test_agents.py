"""Which pod is a node's agent, and what is said where none can be asked.

tests/kube/three_nodes/test_status_port.py asks them.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from datastore.kube.pod_pages import ServingPod
from felixctl.agents import PORT, port_of, serving, why_none
from tests.felixctl.command import Felixctl

OLD = ServingPod("kube-system", "a-1", "n1", {}, "Running", "192.0.2.1", "2026-01-01T00:00:00Z")
NEW = ServingPod("kube-system", "a-0", "n1", {PORT: "9198"}, "Running", "192.0.2.1", "2026-01-02T00:00:00Z")
ENDING = ServingPod("kube-system", "a-2", "n1", {}, "Running", "192.0.2.1", "2026-01-03T00:00:00Z", ends=True)
PENDING = ServingPod("kube-system", "a-3", "n1", {}, "Pending", "", "2026-01-04T00:00:00Z")


def test_the_newest_that_runs_is_asked() -> None:
    assert serving([OLD, NEW, ENDING, PENDING]) is NEW
    assert serving([ENDING, PENDING]) is None


def test_the_port_is_the_one_that_the_pod_names_else_the_usual() -> None:
    assert (port_of(NEW), port_of(OLD)) == (9198, 9098)
    for nonsense in ("", "0", "-1", "65536", "919800000", "²", "a port"):
        assert port_of(replace(NEW, annotations={PORT: nonsense})) == 9098, nonsense


def test_why_none_is_asked_names_what_there_is() -> None:
    assert why_none([ENDING, PENDING], "kube-system") == "none of its pods runs: a-2 (ending), a-3 (Pending)"
    assert "no pod with the label app.kubernetes.io/name=felix-py-node in namespace felix" in why_none([], "felix")


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("routes --node n2", "run felixctl routes on n2"),
        ("node status --all", "run felixctl node status on each node, or felixctl lab status for a lab"),
        ("node status --node n2", "run felixctl node status on n2"),
    ],
)
def test_without_kubernetes_it_says_what_can_be_done(felixctl: Felixctl, command: str, instead: str) -> None:
    ended = felixctl(*command.split())
    assert ended.status == 2
    assert "other nodes' agents are asked through the Kubernetes API, and the datastore is sqlite://" in ended.err
    assert instead in ended.err


def test_one_node_and_all_nodes_exclude_each_other(felixctl: Felixctl) -> None:
    ended = felixctl("node", "status", "--all", "--node", "n2")
    assert (ended.status, "exclude each other" in ended.err) == (2, True)


def test_a_datastore_that_is_none_is_a_sentence(felixctl: Felixctl) -> None:
    ended = felixctl("routes", "--node", "n2", "--datastore", "etcd://somewhere")
    assert (ended.status, 'open datastore "etcd://somewhere"' in ended.err) == (1, True)
