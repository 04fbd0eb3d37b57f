"""Services as kube-proxy makes them, in both of its modes, and ports of hosts: who answers, and under which address.

clients: a pod of n1, n2, n3 ─┐                                  ┌─ servers: a pod of n1, n2, n3
nodes n1, n2, n3             ─┼─► service, port of a node, DNS ──┤
the outside                  ─┘   port of a host ────────────────┴─ door: a pod of n1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.state_model import PodState
from tests.cluster import image, pod_server
from tests.cluster.asking import Asker, ask, in_pod, on_node, outside
from tests.cluster.cluster import Cluster
from tests.cluster.installation import TAG
from tests.cluster.node import PROXY_MODES, ClusterNode
from tests.cluster.pings import running_pods
from tests.cluster.pod_server import DNS_PORT, HTTP_PORT, KNOWN
from tests.cluster.workloads import Record, daemon_set, deployment, service
from tests.runtimes.machine import GATEWAY

pytestmark = pytest.mark.long

TIMES = 6
HOST_PORT = 8088


def server(**port: Any) -> Record:
    """Return the container of a pod that tells its callers who they are."""
    return {
        "name": "c",
        "image": f"{image.NAME}:{TAG}",
        "imagePullPolicy": "Never",
        "command": ["python", "-c", Path(pod_server.__file__).read_text()],
        "ports": [{"containerPort": HTTP_PORT, **port}],
        "readinessProbe": {"tcpSocket": {"port": HTTP_PORT}, "periodSeconds": 1},
    }


HTTP = {"name": "http", "port": 80, "targetPort": HTTP_PORT}
DNS = {"name": "dns", "port": 53, "targetPort": DNS_PORT, "protocol": "UDP"}
WORKLOADS = (
    daemon_set("clients"),
    daemon_set("servers", containers=[server()]),
    deployment("door", 1, nodeName="n1", containers=[server(hostPort=HOST_PORT)]),
    service("servers", type="NodePort", ports=[HTTP, DNS]),
    service("kept", type="NodePort", ports=[HTTP], selector={"app": "servers"}, externalTrafficPolicy="Local"),
)


@dataclass(frozen=True, slots=True)
class Served:
    made: Cluster
    clients: list[PodState]
    servers: set[str]
    service: str
    """The Service's own address."""

    def port(self, name: str, service: str = "servers") -> int:
        """Return the port of every node that leads to a port of a Service."""
        ports = self.made.kubectl.get("service", service)["spec"]["ports"]
        return next(int(port["nodePort"]) for port in ports if port["name"] == name)


@pytest.fixture(scope="module")
def served(made: Cluster) -> Iterator[Served]:
    made.kubectl.apply(*WORKLOADS)
    wanted, which = 2 * len(made.names) + 1, "--selector=app in (clients, servers, door)"
    made.until("pods are ready", wanted, lambda: len(running_pods(made.kubectl, which)))
    clients, servers = (running_pods(made.kubectl, f"--selector=app={name}") for name in ("clients", "servers"))
    address = made.kubectl.get("service", "servers")["spec"]["clusterIP"]
    yield Served(made, clients, {pod.name for pod in servers}, address)
    for kind, names in (("daemonset", "clients servers"), ("deployment", "door"), ("service", "servers kept")):
        made.kubectl("delete", kind, *names.split(), "--cascade=foreground")


@pytest.fixture(scope="module", params=PROXY_MODES)
def proxied(request: pytest.FixtureRequest, served: Served) -> Iterator[Served]:
    """The same by each mode of kube-proxy, one after the other; the first is the one that others find."""
    nodes = served.made.nodes.values()
    for node in nodes:
        node.set_proxy_mode(request.param)
    served.made.until(
        f"kube-proxies serve by {request.param}",
        len(nodes),
        lambda: sum(modes_of(node, served.service) == {request.param} for node in nodes),
    )
    yield served
    for node in nodes:
        node.set_proxy_mode(PROXY_MODES[0])


def modes_of(node: ClusterNode, service: str) -> set[str]:
    """Return the modes of kube-proxy by whose rules the node knows the address of a Service."""
    rules = {
        "iptables": node.machine.run("iptables-save", "--table=nat"),
        "nftables": node.machine.sh("nft list table ip kube-proxy 2>/dev/null || true"),
    }
    return {mode for mode, text in rules.items() if service in text}


def test_every_pod_reaches_a_service_under_its_own_address(proxied: Served) -> None:
    answered = set()
    for pod in proxied.clients:
        answers = ask(in_pod(proxied.made.kubectl, pod), proxied.service, times=TIMES)
        assert [answer.caller for answer in answers] == TIMES * [pod.addresses[0]]
        answered |= {answer.server for answer in answers}
    assert answered == proxied.servers


def test_every_node_reaches_a_service(proxied: Served) -> None:
    for node in proxied.made.nodes.values():
        answers = ask(on_node(node), proxied.service, times=TIMES)
        assert len(answers) == TIMES
        assert {answer.server for answer in answers} <= proxied.servers


def test_the_port_of_every_node_leads_to_a_service(proxied: Served) -> None:
    nodes = proxied.made.nodes.values()
    askers = [outside(proxied.made), *map(on_node, nodes)]
    for node in nodes:
        for asker in askers:
            assert len(ask(asker, node.address, proxied.port("http"), TIMES)) == TIMES


def test_where_traffic_is_kept_on_its_node_the_outside_is_heard_under_its_own_address(proxied: Served) -> None:
    for node in proxied.made.nodes.values():
        answers = ask(outside(proxied.made), node.address, proxied.port("http", "kept"), TIMES)
        assert [answer.caller for answer in answers] == TIMES * [GATEWAY]


def test_names_are_resolved_by_a_service_of_udp(proxied: Served) -> None:
    askers = [in_pod(proxied.made.kubectl, pod) for pod in proxied.clients]
    askers += map(on_node, proxied.made.nodes.values())
    for asker in askers:
        for number in range(TIMES):
            assert resolves(asker, f"name{number}.example", proxied.service)


def resolves(asker: Asker, name: str, dns: str) -> bool:
    return f"Address: {KNOWN}" in asker(f"busybox nslookup -type=a {name} {dns} || true")


def test_the_port_of_a_host_leads_to_its_pod(proxied: Served) -> None:
    """By the plugin `portmap`, which our network chains; asked from everywhere, its own node and pods there too."""
    [door] = running_pods(proxied.made.kubectl, "--selector=app=door")
    address = proxied.made.nodes[door.node].address
    askers = [in_pod(proxied.made.kubectl, pod) for pod in proxied.clients]
    for asker in (outside(proxied.made), *map(on_node, proxied.made.nodes.values()), *askers):
        answers = ask(asker, address, HOST_PORT, TIMES)
        assert [answer.server for answer in answers] == TIMES * [door.name]
