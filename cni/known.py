"""What the agent's watch holds of what an ADD or a DEL asks for: so neither costs a request.

An answer is given only where it is sure to be about the very pod that is meant, which its UID says, or its container: a
pod may have had the name before. What this process wrote itself is known before the watch reports it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cni.addresses import Address
from cni.attachment import Attachment, PodRef
from cni.endpoint_owner import is_of, is_of_pod
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import workload_endpoint_name
from datastore.record import Resource
from datastore.store import Changed, Gone, Unreadable, WatchEvent

_Key = tuple[str | None, str]


class Known:
    """One node's Node, its pods' endpoints, and the ClusterInformation."""

    def __init__(self, node: str) -> None:
        self._node_name = node
        self.cluster: ClusterInformation | None = None
        self.node: Node | None = None
        self._endpoints: dict[_Key, WorkloadEndpoint] = {}
        self._written: dict[_Key, WorkloadEndpoint] = {}

    def observe(self, event: WatchEvent) -> None:
        """Take in one event of a watch of these kinds; others are ignored."""
        match event:
            case Changed(resource=resource):
                self._put(resource)
            case Gone() | Unreadable():
                self._remove(event.kind, event.name, event.namespace)

    def wrote(self, endpoint: WorkloadEndpoint) -> None:
        """Take in an endpoint that this process wrote, until the watch reports it."""
        self._written[endpoint.namespace, endpoint.name] = endpoint

    def deletes(self, endpoint: WorkloadEndpoint) -> None:
        """Take in that this process is about to delete an endpoint: what it wrote before is not to be asked."""
        self._written.pop((endpoint.namespace, endpoint.name), None)

    def endpoint(self, pod: PodRef, device: str) -> WorkloadEndpoint | None:
        """Return the endpoint of this very pod, without a revision, since others write pods too; None: read it."""
        key = self._key(pod, device)
        found = self._written.get(key) or self._endpoints.get(key)
        if found is None or not is_of_pod(found, pod):
            return None
        return found.with_metadata(resource_version=None)

    def attached(self, attachment: Attachment, pod: PodRef) -> WorkloadEndpoint | None:
        """Return the endpoint that names this attachment's container, as it was last reported; None: read it.

        Who writes or deletes it finds out by its revision whether it still is so.
        """
        found = self._endpoints.get(self._key(pod, attachment.device))
        if found is None or found.spec.container_id != attachment.container_id:
            return None
        return found if is_of(found, attachment) else None

    def endpoints(self) -> Iterable[WorkloadEndpoint]:
        """Return this node's endpoints as the watch reported them."""
        return self._endpoints.values()

    def held_by_others(self, pod: PodRef, addresses: Collection[Address]) -> str:
        """Return, as a clause, which of these addresses another pod of this node has, and which pod; empty: none.

        What a pod has in an older container it may get again.
        """
        for other in self._endpoints.values():
            if (other.namespace, other.spec.pod) != pod[:2] and (twice := {*other.addresses}.intersection(addresses)):
                return f"{', '.join(map(str, twice))}, which pod {other.namespace}/{other.spec.pod} has"
        return ""

    def _key(self, pod: PodRef, device: str) -> _Key:
        return pod.namespace, workload_endpoint_name(self._node_name, pod.name, endpoint=device)

    def _put(self, resource: Resource) -> None:
        match resource:
            case ClusterInformation(name="default"):
                self.cluster = resource
            case Node(name=self._node_name):
                self.node = resource
            case WorkloadEndpoint() if resource.spec.node == self._node_name:
                key = resource.namespace, resource.name
                self._endpoints[key] = resource
                written = self._written.get(key)
                if written is not None and _reports(resource, written):
                    del self._written[key]

    def _remove(self, kind: type[Resource], name: str, namespace: str | None) -> None:
        if kind is WorkloadEndpoint:
            self._endpoints.pop((namespace, name), None)
            self._written.pop((namespace, name), None)
        elif kind is ClusterInformation and name == "default":
            self.cluster = None
        elif kind is Node and name == self._node_name:
            self.node = None


def _reports(reported: WorkloadEndpoint, written: WorkloadEndpoint) -> bool:
    """Whether a report comes after a write, or is of another pod of that name."""
    return reported.metadata.uid != written.metadata.uid or reported.spec.container_id == written.spec.container_id
