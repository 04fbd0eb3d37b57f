"""What `make kube` shows: felix-py installed, pods that reach one another, and a Service."""

from __future__ import annotations

import time

from msgspec import Struct

from lab.state_model import LabState
from tests.cluster.cluster import Cluster
from tests.cluster.pings import lost, ping_all, running_pods
from tests.cluster.state import cluster_state, mesh, sessions_up
from tests.cluster.workloads import deployment, service

PODS = 9
NAME = "web"
_GET = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {} 80"


class ServiceState(Struct, frozen=True):
    """answered: from how many nodes and pods it was reached, of so many asked."""

    name: str
    address: str
    asked: int
    answered: int


class ClusterReport(Struct, frozen=True):
    """What `hold` tells the command that began it, as JSON."""

    state: LabState
    services: tuple[ServiceState, ...]
    kubeconfig: str


def run_demo(made: Cluster, began: float) -> ClusterReport:
    """Run the pods on a cluster whose nodes are ready; return what became of them. began: when all of it was begun."""
    seconds: dict[str, float] = {}

    def reached(stage: str) -> None:
        seconds[stage] = round(time.monotonic() - began, 1)

    reached("up")
    made.until("sessions are up", mesh(made), lambda: sessions_up(made))
    reached("established")
    made.kubectl.apply(deployment(NAME, PODS), service(NAME))
    made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl)))
    reached("pods")
    pods = running_pods(made.kubectl)
    wanted = len(pods) * (len(pods) - 1)
    made.until("pings are answered", wanted, lambda: wanted - lost(pods, ping_all(made.kubectl, pods)))
    reached("reachable")
    return ClusterReport(cluster_state(made, seconds), (_service_state(made),), str(made.kubectl.kubeconfig))


def _service_state(made: Cluster) -> ServiceState:
    address = made.kubectl.get("service", NAME)["spec"]["clusterIP"]
    pods = running_pods(made.kubectl)
    ask = ("sh", "-c", _GET.format(address))
    from_nodes = [node.machine.try_run("curl", "-sf", "-m", "3", f"http://{address}") for node in made.nodes.values()]
    answers = [ran.stdout for ran in from_nodes] + [made.kubectl("exec", pod.name, "--", *ask) for pod in pods]
    return ServiceState(NAME, address, len(answers), sum(NAME in answer for answer in answers))
