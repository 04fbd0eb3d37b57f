"""What this machine's agent says about nodes and devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from felix_py.status_json import to_json
from felix_py.status_model import RouteIssue, RouteNote, RoutesPage, RouteStatus
from felixctl.ipam.local_agent import sign_of_life, without_device
from net.ip_route import IpRoute
from net.prefix import Prefix
from tests.felixctl.agent import agent, answered
from tests.felixctl.node.test_status import STATUS, peer

N2 = Node.make("n2", bgp={"ipv4Address": "192.0.2.2/24", "ipv6Address": "2001:db8::2/64"})


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_a_session_that_is_up_is_a_sign_of_life(tmp_path: Path, address: str) -> None:
    with agent(tmp_path, answered({**STATUS, "peers": [peer(address)]})):
        assert sign_of_life(N2, tmp_path) == f"its BGP session with node n1 ({address}) is up"


def test_the_agent_that_answers_is_one_for_its_own_node(tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        assert sign_of_life(Node.make("n1"), tmp_path) == "its agent answers on this machine"


def test_a_session_that_is_down_or_no_agent_proves_nothing(tmp_path: Path) -> None:
    with agent(tmp_path, answered({**STATUS, "peers": [peer("192.0.2.2", "start"), peer("192.0.2.3")]})):
        assert sign_of_life(N2, tmp_path) is None
    assert sign_of_life(N2, tmp_path / "nothing") is None


def endpoint(pod: str, address: str, node: str = "n1") -> WorkloadEndpoint:
    networks = [f"{address}/32"]
    return WorkloadEndpoint.make(f"n1-k8s-{pod}-eth0", "default", node=node, pod=pod, ip_networks=networks,
                                 interface_name=f"cali{pod}")  # fmt: skip


def row(address: str, issue: RouteIssue | None) -> RouteStatus:
    note = RouteNote(issue) if issue else None
    return RouteStatus(IpRoute(Prefix.parse(address)), "pods", best=True, in_fib=not issue, note=note)


def test_an_endpoint_lacks_its_device_if_agent_and_kernel_say_so(tmp_path: Path) -> None:
    gone, there, down, elsewhere = (endpoint(f"p{n}", f"10.65.0.{n}", f"n{1 + n // 4}") for n in (1, 2, 3, 4))
    page = RoutesPage(
        (
            row("10.65.0.1", RouteIssue.DEVICE_DOWN),
            row("10.65.0.2", None),
            row("10.65.0.3", RouteIssue.DEVICE_DOWN),
            row("10.65.0.4", RouteIssue.DEVICE_DOWN),
        )
    )
    found = [gone, there, down, elsewhere]
    with agent(tmp_path, answered(STATUS), answered(to_json(page))):
        assert without_device(found, tmp_path, lambda name: name == "calip3") == {("default", gone.name)}
    assert without_device(found, tmp_path / "nothing", lambda name: False) == frozenset()
