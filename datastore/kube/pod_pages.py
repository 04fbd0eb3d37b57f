"""Pages that pods serve, read through the API server: it connects to a pod's address for whoever has its role's leave.

An edge. The server hands on headers but for Authorization, which it takes for its own: so a pod that wants to know who
asks is shown a token in another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from datastore.errors import Unavailable
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.answers import Status, refusal
from datastore.kube.client import ApiClient
from datastore.kube.listing import list_all
from datastore.kube.paths import CORE, collection, item

TOKEN_SECONDS = 600
"""The least that API servers give."""
LONGEST_REASON = 500


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Node(msgspec.Struct):
    metadata: _Metadata


class _TokenStatus(msgspec.Struct):
    token: str


class _TokenRequest(msgspec.Struct):
    status: _TokenStatus


class ServingPod(Struct, frozen=True):
    """A pod that may serve pages; its annotations say where. created: to the second."""

    namespace: str
    name: str
    node: str
    annotations: Mapping[str, str]
    phase: str = ""
    address: str = ""
    created: str = ""
    ends: bool = False


class PodPages:
    """Reads pages through one API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def pods(self, namespace: str | None, labels: str, node: str | None = None) -> list[ServingPod]:
        """Return the pods that have these labels (`a=b,c=d`), or those on one node. Raises as a list.

        namespace: None: whatever it is.
        """
        query = {"labelSelector": labels, **({"fieldSelector": f"spec.nodeName={node}"} if node else {})}
        where = collection(WorkloadEndpoint, CORE, namespace)
        found, _ = await list_all(
            self._client, f"list the pods of {labels} in {namespace or 'all namespaces'}", where, query, _serving
        )
        return found

    async def nodes(self) -> list[str]:
        """Return the nodes that run Linux, as agents do. Raises as a list."""
        found, _ = await list_all(self._client, "list the nodes", collection(Node, CORE), {}, _linux_node)
        return [name for name in found if name]

    async def token(self, namespace: str, account: str, audience: str) -> str:
        """Return a new token of a service account, for an audience alone. Raises as a request does."""
        what = f"ask for a token of the service account {namespace}/{account}"
        path = f"/api/{CORE}/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(account, safe='')}/token"
        spec = {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._client.request(what, "POST", path, msgspec.json.encode(body))
        try:
            return msgspec.json.decode(answer.body, type=_TokenRequest).status.token
        except msgspec.DecodeError as error:
            raise Unavailable(f"{what}: the API server's answer is none: {error}") from None

    async def get(self, what: str, pod: ServingPod, port: int, page: str, headers: Mapping[str, str]) -> bytes:
        """Return a page of a pod. Raises DatastoreError: the API server or the pod gives another answer, or none."""
        path = f"{item(WorkloadEndpoint, CORE, pod.name, pod.namespace)}:{port}/proxy{page}"
        answer = await self._client.answer(what, "GET", path, headers)
        if answer.status == 200:
            return answer.body
        if (status := _status(answer.headers, answer.body)) is not None:
            raise refusal(what, answer.status, status)
        text = " ".join(answer.body[:LONGEST_REASON].decode(errors="replace").split())
        raise Unavailable(f"{what}: it answered {answer.status}: {text or 'without a reason'}")


def _linux_node(raw: msgspec.Raw) -> str:
    """Return a node's name; "": its kubelet says that it runs another system."""
    metadata = msgspec.json.decode(raw, type=_Node).metadata
    return metadata.name if metadata.labels.get("kubernetes.io/os", "linux") == "linux" else ""


def _serving(raw: msgspec.Raw) -> ServingPod:
    pod = msgspec.json.decode(raw, type=_Pod)
    return ServingPod(
        pod.metadata.namespace,
        pod.metadata.name,
        pod.spec.node_name,
        pod.metadata.annotations,
        pod.status.phase,
        pod.status.pod_ip,
        pod.metadata.creation_timestamp,
        pod.metadata.deletion_timestamp is not None,
    )


def _status(headers: Mapping[str, Any], body: bytes) -> Status | None:
    """Return what the API server itself says; None: the answer is that of the pod, or of who stands between."""
    if not str(headers.get("content-type", "")).startswith("application/json"):
        return None
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
