"""The API server is away, or what it keeps its records in, while pods come and go and an agent is started anew.

         n1: its agent is killed     n2               n3
steady   ─────────── 100 pings a second ──►
hit      sandboxes die: DELs succeed and are carried out later, ADDs are to be tried again (code 11)
churned  some were just coming and some going when it went away
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from lab.state_model import PodState
from tests.cluster.cluster import Cluster
from tests.cluster.installation import NAMESPACE, settle
from tests.cluster.ipam import address_problems
from tests.cluster.pings import running_pods
from tests.cluster.plugin import kill_sandbox, try_add, waiting_releases
from tests.cluster.state import agents_ready, mesh, pod_routes, sessions_up
from tests.cluster.stream import streaming
from tests.cluster.workloads import daemon_set, deployment

pytestmark = pytest.mark.long

AWAY_SECONDS = 60
CONVERGED_SECONDS = 10.0
"""Within these agents are to have made up for all, so none may wait for longer before it tries again."""
CHURNED = 12
AGENT = "felix-agent"
TRY_AGAIN = 11
ALONE = {"automountServiceAccountToken": False}
"""A kubelet asks for a pod's token after longer and longer pauses, up to minutes after the API server is back."""
OURS, STAYING = "--selector=app in (steady, hit, coming, going)", "--selector=app in (steady, hit, coming)"

Absence = Callable[[Cluster], AbstractContextManager[None]]


@contextmanager
def api_server_killed(made: Cluster) -> Iterator[None]:
    api = made.control_plane.api
    api.api_server.end()
    try:
        yield
    finally:
        api.api_server.start()
        api.wait_until_ready()


@contextmanager
def etcd_stopped(made: Cluster) -> Iterator[None]:
    api = made.control_plane.api
    os.kill(api.etcd.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(api.etcd.pid, signal.SIGCONT)
        api.wait_until_ready()


@pytest.fixture
def churning(made: Cluster) -> Iterator[Cluster]:
    """The cluster, which has nothing of this test's before and after."""
    yield made
    made.kubectl("delete", "daemonset,deployment", OURS, "--cascade=foreground")


@pytest.mark.parametrize("absence", [api_server_killed, etcd_stopped])
def test_running_pods_lose_nothing_and_the_others_are_made_up_for(
    churning: Cluster, absence: Absence, capsys: pytest.CaptureFixture[str]
) -> None:
    made, nodes = churning, churning.nodes
    steady, hit = start(made)
    with streaming(made.kubectl, steady["n1"], steady["n2"].addresses[0]) as stream:
        made.kubectl("scale", "deployment", "coming", f"--replicas={CHURNED}")
        made.kubectl("delete", "deployment", "going", "--wait=false")
        with absence(made):
            began = time.monotonic()
            nodes["n1"].kill(AGENT)
            for name, pod in hit.items():
                kill_sandbox(nodes[name], pod.name)
            made.until("DELs wait on each node", len(nodes), lambda: sum(waiting_releases(nodes[n]) > 0 for n in nodes))
            assert {name: try_add(node).get("code") for name, node in nodes.items()} == dict.fromkeys(nodes, TRY_AGAIN)
            time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        seconds = wait_until_converged(made)
    with capsys.disabled():
        print(f" [{absence.__name__}: converged after {seconds}]", end="")
    assert max(announced_pauses(made, "n1")) < CONVERGED_SECONDS
    assert stream.count.lost == 0
    assert stream.count.sent > AWAY_SECONDS * 10
    made.until("all addresses are whose they should be", 1, lambda: not address_problems(made))
    routed = [address for node in nodes.values() for address in pod_routes(node)]
    assert len(routed) == len(set(routed))
    assert {pod.addresses[0] for pod in running_pods(made.kubectl, OURS)} <= set(routed)


def start(made: Cluster) -> tuple[dict[str, PodState], dict[str, PodState]]:
    """Have all pods but those to come; return those called steady and hit, by their nodes."""
    made.kubectl.apply(daemon_set("steady", **ALONE), daemon_set("hit", **ALONE))
    made.kubectl.apply(deployment("going", CHURNED, **ALONE), deployment("coming", 0, **ALONE))
    wanted = 2 * len(made.nodes) + CHURNED
    made.until("pods are ready", wanted, lambda: len(running_pods(made.kubectl, OURS)))
    found = (running_pods(made.kubectl, f"--selector=app={name}") for name in ("steady", "hit"))
    steady, hit = ({pod.node: pod for pod in pods} for pods in found)
    return steady, hit


def wait_until_converged(made: Cluster) -> str:
    """Return after how many seconds agents had made up for everything, and pods were what is wanted."""
    nodes, back = made.nodes.values(), time.monotonic()
    made.until("DELs have been carried out", 1, lambda: not any(map(waiting_releases, nodes)))
    made.until("agents are ready", len(nodes), lambda: agents_ready(made))
    made.until("sessions are up", mesh(made), lambda: sessions_up(made))
    agents = time.monotonic() - back
    made.until("pods are gone", 1, lambda: not made.kubectl.get("pods", "--selector=app=going")["items"])
    wanted = 2 * len(nodes) + CHURNED
    made.until("pods are ready", wanted, lambda: len(running_pods(made.kubectl, STAYING)))
    pods = time.monotonic() - back
    settle(made)
    return f"{agents:.1f} s (agents), {pods:.1f} s (pods)"


def announced_pauses(made: Cluster, node: str) -> list[float]:
    """Return after how many seconds each the agent of a node that waits for the API server says it tries again."""
    on_it = (f"--field-selector=spec.nodeName={node}", "--selector=app.kubernetes.io/name=felix-py-node")
    [pod] = made.kubectl.get("pods", f"--namespace={NAMESPACE}", *on_it)["items"]
    log = made.kubectl("logs", pod["metadata"]["name"], f"--namespace={NAMESPACE}", "--container=agent")
    return [float(seconds) for seconds in re.findall(r"start up: .*; next try in ([0-9.]+) s", log)]
