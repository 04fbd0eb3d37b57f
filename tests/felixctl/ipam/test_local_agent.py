"""What this machine's agent says about nodes and devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from felix_py.node import node_claim
from felix_py.node.node_claim import HostMark, answer, marked
from felix_py.status.status_json import to_json
from felix_py.status_model import RouteIssue, RouteNote, RoutesPage, RouteStatus
from felixctl.ipam.local_agent import sign_of_life, without_device
from net.ip_route import IpRoute
from net.prefix import Prefix
from tests.datastore.memory_store import MemoryStore
from tests.felixctl.agent import agent, answered
from tests.felixctl.node.test_status import STATUS, peer

STORE = MemoryStore()
N2 = Node.make("n2", bgp={"ipv4Address": "192.0.2.2/24", "ipv6Address": "2001:db8::2/64"})


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
async def test_a_session_that_is_up_is_a_sign_of_life(tmp_path: Path, address: str) -> None:
    with agent(tmp_path, answered({**STATUS, "peers": [peer(address)]})):
        assert await sign_of_life(STORE, N2, tmp_path) == f"its BGP session with node n1 ({address}) is up"


async def test_the_agent_that_answers_is_one_for_its_own_node(tmp_path: Path) -> None:
    with agent(tmp_path, answered(STATUS)):
        assert await sign_of_life(STORE, Node.make("n1"), tmp_path) == "its agent answers on this machine"


async def test_a_session_that_is_down_or_no_agent_proves_nothing(tmp_path: Path) -> None:
    with agent(tmp_path, answered({**STATUS, "peers": [peer("192.0.2.2", "start"), peer("192.0.2.3")]})):
        assert await sign_of_life(STORE, N2, tmp_path) is None
    assert await sign_of_life(STORE, N2, tmp_path / "nothing") is None


async def test_an_agent_that_answers_is_one(tmp_path: Path) -> None:
    class Living(MemoryStore):
        async def patch(self, kind: Any, name: str, patch: Mapping[str, Any], namespace: str | None = None) -> Any:
            patched = await super().patch(kind, name, patch, namespace)
            await answer(super(), patched, HostMark("disk", "boot:1"))  # type: ignore[arg-type]
            return patched

    store = Living(marked(N2, HostMark("disk", "boot:1")))
    assert await sign_of_life(store, await store.get(Node, "n2"), tmp_path / "nothing") == "its agent answers"


async def test_one_that_does_not_answer_proves_nothing_and_its_node_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_claim, "ANSWER_SECONDS", 0)
    store = MemoryStore(marked(N2, HostMark("disk", "boot:1")))
    before = await store.get(Node, "n2")
    assert await sign_of_life(store, before, tmp_path / "nothing") is None
    assert (await store.get(Node, "n2")).metadata.annotations == before.metadata.annotations


def endpoint(pod: str, address: str, node: str = "n1") -> WorkloadEndpoint:
    networks = [f"{address}/32"]
    return WorkloadEndpoint.make(f"n1-k8s-{pod}-eth0", "default", node=node, pod=pod, ip_networks=networks,
                                 interface_name=f"cali{pod}")  # fmt: skip


def row(address: str, issue: RouteIssue | None) -> bytes:
    """The page of one pod's route."""
    note = RouteNote(issue) if issue else None
    route = RouteStatus(IpRoute(Prefix.parse(address)), "pods", best=True, in_fib=not issue, note=note)
    return answered(to_json(RoutesPage((route,))))


def test_an_endpoint_lacks_its_device_if_kernel_and_agent_say_so(tmp_path: Path) -> None:
    gone, there, wanted, elsewhere = (endpoint(f"p{n}", f"10.65.0.{n}", f"n{1 + n // 4}") for n in (1, 2, 3, 4))
    found = [gone, there, wanted, elsewhere]
    answers = answered(STATUS), row("10.65.0.1", RouteIssue.DEVICE_DOWN), row("10.65.0.3", None)
    with agent(tmp_path, *answers) as requests:
        assert without_device(found, tmp_path, lambda name: name == "calip2") == {("default", gone.name)}
    assert [request.split()[1] for request in requests] == [
        b"/status", b"/routes?prefix=10.65.0.1/32", b"/routes?prefix=10.65.0.3/32",
    ]  # fmt: skip
    assert without_device(found, tmp_path / "nothing", lambda name: False) == frozenset()


def test_where_every_device_is_there_nobody_is_asked(tmp_path: Path) -> None:
    with agent(tmp_path) as requests:
        assert without_device([endpoint("p", "10.65.0.1")], tmp_path, lambda name: True) == frozenset()
    assert requests == []
