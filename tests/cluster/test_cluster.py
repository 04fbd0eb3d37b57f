"""felix-py carries a real Kubernetes: nodes with kubelets, containerd and kube-proxy, its own image and manifests.

n1 ─┐                      each node: felix-install, agent, sidecar ─► conflist ─► Ready
n2 ─┼─ switch ─ API server
n3 ─┘                      kubelet ─► containerd ─► shim ─► agent ─► a pod's address
"""

from __future__ import annotations

from tests.cluster.cluster import Cluster
from tests.cluster.pings import ping_all, running_pods, unanswered
from tests.cluster.state import mesh, sessions_up
from tests.cluster.workloads import deployment, service

PODS = 9


def test_every_pod_reaches_every_other_and_the_service_they_are(made: Cluster) -> None:
    made.kubectl.apply(deployment("web", PODS), service("web"))
    made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl)))
    made.until("sessions are up", mesh(made), lambda: sessions_up(made))
    pods = running_pods(made.kubectl)
    assert {pod.node for pod in pods} == set(made.names)
    assert unanswered(pods, ping_all(made.kubectl, pods)) == []
    address = made.kubectl.get("service", "web")["spec"]["clusterIP"]
    for node in made.nodes.values():
        assert node.machine.run("curl", "--silent", "--max-time", "5", f"http://{address}").startswith("web-")
    made.kubectl("delete", "deployment,service", "web", "--cascade=foreground")
