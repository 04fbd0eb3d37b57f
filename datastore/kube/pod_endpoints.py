"""The endpoints that pods are, read and written on the pods themselves.

An edge. A pod is only ever patched, in its status, and only while it is the pod that was meant (its UID).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from datastore.errors import BadRecord, Invalid, NotFound
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import MERGE_PATCH, ApiClient
from datastore.kube.page import read_page
from datastore.kube.paths import CORE, collection, item
from datastore.kube.pods import attached_patch, detached_patch, endpoint_of, pod_of_endpoint, read_pod
from datastore.names import workload_endpoint_name


class PodEndpoints:
    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, what: str, name: str, namespace: str | None) -> WorkloadEndpoint:
        """Return an endpoint by its name. Raises NotFound."""
        if pod := pod_of_endpoint(name):
            answer = await self._client.request(what, "GET", item(WorkloadEndpoint, CORE, pod, namespace))
            found = [answer.body]
        else:  # a long name is cut and hashed: it does not say which pod it is
            answer = await self._client.request(what, "GET", collection(WorkloadEndpoint, CORE, namespace))
            found = [bytes(raw) for raw in read_page(answer.body).items]
        for body in found:
            pod_read = read_pod(body)
            named = workload_endpoint_name(pod_read.spec.node_name, pod_read.metadata.name)
            if pod_read.has_endpoint and named == name:  # others need not be valid endpoints
                return endpoint_of(pod_read)
        raise NotFound(f"{what}: its pod is on another node or has no network of its own")

    async def attach(self, what: str, endpoint: WorkloadEndpoint) -> WorkloadEndpoint:
        """Write the endpoint's addresses on its pod. Raises NotFound: that pod is gone, another may have its name."""
        return await self._patch(what, endpoint, attached_patch(endpoint))

    async def detach(self, what: str, endpoint: WorkloadEndpoint) -> None:
        """Write on the pod that it has given its addresses back. Raises Conflict, NotFound."""
        with suppress(BadRecord):  # what is left of the pod need not be a valid endpoint
            await self._patch(what, endpoint, detached_patch(endpoint))

    async def _patch(self, what: str, endpoint: WorkloadEndpoint, patch: Mapping[str, Any]) -> WorkloadEndpoint:
        if not endpoint.spec.pod:
            raise Invalid(f"{what}: it names no pod, and on Kubernetes pods are the endpoints")
        path = item(WorkloadEndpoint, CORE, endpoint.spec.pod, endpoint.namespace) + "/status"
        try:
            answer = await self._client.request(what, "PATCH", path, json.dumps(patch).encode(), MERGE_PATCH)
        except Invalid as error:  # the server takes another UID for an attempt to change it
            if "metadata.uid" not in str(error):
                raise
            raise NotFound(f"{what}: its pod was deleted and created again") from None
        return endpoint_of(read_pod(answer.body))
