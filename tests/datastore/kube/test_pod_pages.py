"""Pages of pods through a real API server.

What reaches a pod is shown in tests/kube/three_nodes/test_status_port.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from datastore.errors import Forbidden, Invalid, NotFound, Unavailable
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from datastore.kube.http2 import Response
from datastore.kube.pod_pages import PodPages, ServingPod
from tests.kube.bed import Bed
from tests.kube.roles import NODE, STATUS, VIEWER, install_roles


@pytest.fixture
async def client(bed: Bed) -> AsyncIterator[ApiClient]:
    await install_roles(bed)
    found = ApiClient(bed.access)
    yield found
    await found.close()


async def make(bed: Bed, client: ApiClient, name: str, node: str, address: str = "", **labels: str) -> None:
    """Have an agent's pod on a node, whose kubelet says that it runs at this address."""
    spec = {
        "nodeName": node,
        "automountServiceAccountToken": False,
        "containers": [{"name": "sidecar", "image": "none"}, {"name": "agent", "image": "none"}],
    }
    metadata = {"name": name, "labels": labels, "annotations": {"felix-py/status-port": "9098"}}
    record = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await bed.put(WorkloadEndpoint, json.dumps(record).encode(), "kube-system")
    if address:
        status = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}
        path = f"/api/v1/namespaces/kube-system/pods/{name}/status"
        await client.request("run", "PATCH", path, json.dumps(status).encode(), "application/merge-patch+json")


async def test_pods_are_found_by_label_and_node_with_their_annotations(bed: Bed, client: ApiClient) -> None:
    await make(bed, client, "a-1", "n1", "192.0.2.1", app="agent")
    await make(bed, client, "a-2", "n2", app="agent")
    await make(bed, client, "other", "n1", app="other")
    pages = PodPages(client)
    found = await pages.pods("kube-system", "app=agent")
    assert [(pod.name, pod.node, pod.phase, pod.address, pod.ends) for pod in found] == [
        ("a-1", "n1", "Running", "192.0.2.1", False),
        ("a-2", "n2", "Pending", "", False),
    ]
    assert found[0].annotations == {"felix-py/status-port": "9098"} and found[0].created
    assert [pod.name for pod in await pages.pods("kube-system", "app=agent", "n2")] == ["a-2"]
    assert await pages.pods("default", "app=agent") == []


async def test_nodes_of_another_system_than_linux_are_left_out(bed: Bed, client: ApiClient) -> None:
    for name, labels in (("n1", {}), ("n2", {"kubernetes.io/os": "linux"}), ("n3", {"kubernetes.io/os": "windows"})):
        record = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        await client.request("make a node", "POST", "/api/v1/nodes", json.dumps(record).encode())
    assert await PodPages(client).nodes() == ["n1", "n2"]


async def test_the_viewer_gets_a_token_for_the_agents_pages_and_no_other(bed: Bed, client: ApiClient) -> None:
    viewer = ApiClient(lambda: read_access(str(bed.control_plane.kubeconfig_of(VIEWER))))
    pages = PodPages(viewer)
    assert await pages.token("kube-system", STATUS, "felix-py")
    for account in (NODE, VIEWER):
        with pytest.raises(Forbidden, match=f"ask for a token of the service account kube-system/{account}: "):
            await pages.token("kube-system", account, "felix-py")
    await viewer.close()


async def test_what_the_api_server_says_itself_is_its_reason(bed: Bed, client: ApiClient) -> None:
    await make(bed, client, "a-1", "n1", "127.0.0.1", app="agent")
    pages, pod = PodPages(client), ServingPod("kube-system", "a-1", "n1", {})
    with pytest.raises(Invalid, match="read it: address not allowed"):
        await pages.get("read it", pod, 9098, "/felix/status", {})
    with pytest.raises(NotFound, match='read it: pods "gone" not found'):
        await pages.get("read it", ServingPod("kube-system", "gone", "n1", {}), 9098, "/felix/status", {})
    node = ApiClient(lambda: read_access(str(bed.control_plane.kubeconfig_of(NODE))))
    with pytest.raises(Forbidden, match='cannot get resource "pods/proxy"'):
        await PodPages(node).get("read it", pod, 9098, "/felix/status", {})
    await node.close()


class Answering(ApiClient):
    """A server behind which every pod gives one answer."""

    def __init__(self, status: int, content_type: str, body: bytes) -> None:
        self._answer = Response(status, {"content-type": content_type}, body)
        self.path = ""

    async def answer(
        self, what: str, method: str, path: str, headers: object, body: bytes = b"", *more: object
    ) -> Response:
        self.path = path
        return self._answer


POD = ServingPod("kube-system", "a-1", "n1", {})


async def test_a_page_is_as_the_pod_sent_it() -> None:
    client = Answering(200, "application/json", b'{"node": "n1"}')
    assert await PodPages(client).get("read it", POD, 9098, "/felix/routes?prefix=10.0.0.0/8", {}) == b'{"node": "n1"}'
    assert client.path == "/api/v1/namespaces/kube-system/pods/a-1:9098/proxy/felix/routes?prefix=10.0.0.0/8"


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("text/plain", b"/felix/status: the API server\n does not accept the token\n", "does not accept the token"),
        ("text/plain", b"", "without a reason"),
        ("application/json", b"[]", r"\[\]"),
        ("application/json", b"[" * 100_000, r"\[\[\["),
        ("text/html", b"\xff" * 100_000, "answered 403"),
    ],
)
async def test_what_the_pod_says_is_a_sentence(content_type: str, body: bytes, said: str) -> None:
    with pytest.raises(Unavailable, match=f"read it: it answered 403: .*{said}|{said}") as raised:
        await PodPages(Answering(403, content_type, body)).get("read it", POD, 9098, "/felix/status", {})
    assert len(str(raised.value)) < 1000 and "\n" not in str(raised.value)
