"""Each test runs under Debian's containerd and under containerd 2, which calls STATUS and speaks CNI 1.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.runtimes import go_tools
from tests.runtimes.containerd import cri_of, network_trouble, remove_containerd, start_containerd
from tests.runtimes.cri import Cri, PodSandbox
from tests.runtimes.handbook import commands
from tests.runtimes.machine import Machine, eventually
from tests.runtimes.troubles import agent_stopped, datastore_locked, notes, nothing_leaked, wait_until_served

ONE, TWO = "containerd1", "containerd2"
PROGRAMS: dict[str, Callable[[], list[Path]]] = {ONE: list, TWO: go_tools.containerd}


@pytest.fixture(scope="module", params=PROGRAMS)
def runtimes(request: pytest.FixtureRequest, nodes: list[Machine]) -> Iterator[list[Cri]]:
    yield [start_containerd(machine, PROGRAMS[request.param]()) for machine in nodes]
    for machine in nodes:
        remove_containerd(machine)
        assert nothing_leaked(machine)


@pytest.fixture
def runtime(runtimes: list[Cri]) -> Iterator[Cri]:
    """The first node's. Afterwards no node has a pod."""
    yield runtimes[0]
    for each in runtimes:
        for sandbox in each.sandboxes():
            each.remove_pod(sandbox)


def answers(machine: Machine, pod: PodSandbox) -> bool:
    return machine.try_run("ping", "-c", "1", "-W", "1", pod.address).returncode == 0


def pod_routes(machine: Machine) -> str:
    return machine.run("ip", "route", "show", "proto", "80", "scope", "link")


def test_pods_of_two_nodes_reach_each_other(runtime: Cri, runtimes: list[Cri]) -> None:
    near, far = runtime.run_pod("near"), runtimes[1].run_pod("far")
    eventually("near reaches far", lambda: runtime.run_in(near, "ping", "-c", "1", "-W", "1", far.address)[0] == 0)


def test_many_pods_come_and_go_at_once(runtime: Cri, nodes: list[Machine]) -> None:
    with ThreadPoolExecutor(8) as at_once:
        pods = list(at_once.map(runtime.run_pod, [f"p{number}" for number in range(16)]))
        assert len({pod.address for pod in pods}) == 16
        assert all(at_once.map(lambda pod: answers(nodes[0], pod), pods))
        list(at_once.map(lambda pod: runtime.remove_pod(pod.id), pods))
    assert pod_routes(nodes[0]) == ""


def test_a_pod_with_the_longest_name_runs(runtime: Cri, nodes: list[Machine]) -> None:
    assert answers(nodes[0], runtime.run_pod(".".join(["a-" * 31 + "a"] * 4)[:253]))


def test_a_pod_chooses_its_address_by_its_annotation(runtime: Cri) -> None:
    """Annotations reach the plugin as a capability, which the installed configuration asks for."""
    pod = runtime.run_pod("chosen", annotations={"cni.projectcalico.org/ipAddrs": '["10.65.200.7"]'})
    assert pod.address == "10.65.200.7"


def test_an_agent_that_is_restarted_disturbs_no_pod(runtime: Cri, nodes: list[Machine]) -> None:
    pod = runtime.run_pod("web")
    with agent_stopped(nodes[0]):
        assert answers(nodes[0], pod)
    assert answers(nodes[0], pod)


def test_a_pod_is_removed_while_the_agent_is_away(runtime: Cri, nodes: list[Machine]) -> None:
    pod = runtime.run_pod("web")
    with agent_stopped(nodes[0]):
        runtime.remove_pod(pod.id)
        assert runtime.sandboxes() == []
        assert notes(nodes[0])
    eventually("the notes are carried out", lambda: not notes(nodes[0]))
    assert pod_routes(nodes[0]) == ""


def test_a_pod_is_not_started_while_the_agent_is_away(runtime: Cri, nodes: list[Machine]) -> None:
    with agent_stopped(nodes[0]), pytest.raises(grpc.RpcError, match=r"cni\.sock"):
        runtime.run_pod("web")
    assert answers(nodes[0], runtime.run_pod("web"))


def test_a_locked_datastore_does_not_make_the_node_not_ready(runtime: Cri, nodes: list[Machine]) -> None:
    with datastore_locked(nodes[0]):
        assert network_trouble(runtime) is None


def test_an_agent_that_is_away_makes_the_node_not_ready_for_those_that_ask(
    runtime: Cri, nodes: list[Machine], request: pytest.FixtureRequest
) -> None:
    asks = TWO in request.node.callspec.id
    with agent_stopped(nodes[0]):
        trouble = network_trouble(runtime)
        assert ("cni.sock" in (trouble or "")) == asks
    eventually("the node is ready again", lambda: network_trouble(runtime) is None)


def test_pods_of_before_a_power_cut_are_removed_and_new_ones_of_their_names_run(
    runtime: Cri, runtimes: list[Cri], nodes: list[Machine]
) -> None:
    before = [runtime.run_pod(name) for name in ("web", "db")]
    nodes[0].power_cut()
    nodes[0].boot()
    wait_until_served(nodes[0])
    runtimes[0] = again = cri_of(nodes[0])
    assert {*again.sandboxes()} == {pod.id for pod in before}
    for pod in before:
        again.remove_pod(pod.id)
    after = [again.run_pod(name) for name in ("web", "db")]
    assert all(answers(nodes[0], pod) for pod in after)
    assert len(pod_routes(nodes[0]).splitlines()) == 2
    eventually("the other node reaches them", lambda: all(answers(nodes[1], pod) for pod in after))


@pytest.fixture
def chained(nodes: list[Machine]) -> Iterator[None]:
    """The second node's network has reference plugins behind ours."""
    for script in commands("Ports and limits of containers"):
        nodes[1].sh(script)
    eventually("they are in the agent's list", lambda: {"portmap", "bandwidth"} <= set(plugins(nodes[1])))
    yield
    nodes[1].run("rm", "/opt/cni/bin/portmap", "/opt/cni/bin/bandwidth")
    eventually("they are out of the agent's list", lambda: plugins(nodes[1]) == ["felix"])


def plugins(machine: Machine) -> list[str]:
    listed = json.loads(machine.path("/etc/cni/net.d/10-felix.conflist").read_text())["plugins"]
    return [plugin["type"] for plugin in listed]


@pytest.mark.usefixtures("chained")
def test_host_ports_and_limits_work_where_reference_plugins_are_chained(
    runtime: Cri, runtimes: list[Cri], nodes: list[Machine]
) -> None:
    limits = {"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "10M"}
    server = ("httpd", "-f", "-p", "80", "-h", "/etc")
    pod = runtimes[1].run_pod("web", command=server, annotations=limits, ports=[(8081, 80)])
    eventually("the port answers", lambda: "root:" in fetch(nodes[0], nodes[1].address, 8081))
    assert "tbf" in nodes[1].run("tc", "qdisc", "show")
    runtimes[1].remove_pod(pod.id)
    assert "8081" not in nodes[1].run("iptables-save")


def fetch(machine: Machine, host: str, port: int) -> str:
    request = "GET /passwd HTTP/1.0\r\n\r\n"
    return machine.try_run("busybox", "nc", "-w", "3", host, str(port), feed=request).stdout
