"""The whole of felix-py on three real nodes, one story after another on one cluster; build/kube.json has the figures.

a 100 pps ping between pods of two nodes runs while agents are restarted, upgraded, killed, and the API is away
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab.state_model import PodState
from tests.cluster.cluster import Cluster
from tests.cluster.figures import Figures
from tests.cluster.installation import AGENTS, NAMESPACE, felix_cluster, settle
from tests.cluster.leftovers import leftovers
from tests.cluster.pings import lost, ping_all, running_pods
from tests.cluster.stream import streaming
from tests.cluster.workloads import deployment, service

pytestmark = pytest.mark.long

PODS = 30


@pytest.fixture(scope="module")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, figures: Figures) -> Iterator[Cluster]:
    """Three Ready nodes with thirty pods that serve `web`."""
    with felix_cluster(tmp_path_factory.mktemp("clusters") / "whole") as made:
        namespaces = made.namespaces()
        began = time.monotonic()
        made.kubectl.apply(deployment("web", PODS), service("web"))
        made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl)))
        figures.note(nodes=len(made.names), pods=PODS, ready_seconds=round(time.monotonic() - began, 1))
        yield made
    left = leftovers(made, namespaces)
    figures.note(leftovers=left)
    assert left == []


def apart(made: Cluster) -> tuple[PodState, PodState]:
    """Return a pod of n1 and one of n2."""
    pods = {pod.node: pod for pod in running_pods(made.kubectl)}
    return pods["n1"], pods["n2"]


def test_thirty_pods_reach_one_another(whole: Cluster, figures: Figures) -> None:
    pods = running_pods(whole.kubectl)
    sent = PODS * (PODS - 1)
    whole.until("pings are answered", sent, lambda: sent - lost(pods, ping_all(whole.kubectl, pods)))
    figures.note(connectivity={"sent": sent, "lost": lost(pods, ping_all(whole.kubectl, pods))})


def test_a_rolling_restart_loses_no_packet(whole: Cluster, figures: Figures) -> None:
    one, other = apart(whole)
    with streaming(whole.kubectl, one, other.addresses[0]) as stream:
        whole.kubectl("rollout", "restart", AGENTS, f"--namespace={NAMESPACE}")
        settle(whole)
    figures.note_pings("rolling_restart", stream.count)
    assert stream.count.sent > 100
    assert stream.count.lost == 0
