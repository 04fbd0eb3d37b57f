"""This node's workload endpoints, as the datastore keeps them.

Who writes at the same time shares a transaction, where the store has any: ten pods that start together cost one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cni.protocol import Attachment, Pod
from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import AlreadyExists, Conflict, DatastoreError, NotFound
from datastore.group_commit import Batcher
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import workload_endpoint_name
from datastore.store import Create, Delete, Store, Update

_ALL = "endpoints"


def is_of(endpoint: WorkloadEndpoint, attachment: Attachment) -> bool:
    """Whether an endpoint is this container's; one that names none is taken for its pod's only one."""
    return endpoint.spec.container_id in (attachment.container_id, "", None)


class Endpoints:
    """Read, put and remove, each by compare-and-swap."""

    def __init__(self, store: Store, node: str) -> None:
        self._store, self._node = store, node
        self._writes: Batcher[str, Create | Update | Delete, None] = Batcher(self._write)
        self._readiness: Batcher[str, None, ClusterInformation | None] = Batcher(self._read_cluster)

    async def of(self, pod: Pod) -> WorkloadEndpoint | None:
        name = workload_endpoint_name(self._node, pod.name)
        return await found_or_none(self._store.get(WorkloadEndpoint, name, pod.namespace))

    async def put(self, endpoint: WorkloadEndpoint) -> None:
        """Write an endpoint, over one of the same name whatever it says: its container is the newest.

        Raises Conflict: others were quicker ten times in a row.
        """
        for _ in range(ATTEMPTS):
            try:
                return await self._writes.submit(_ALL, Create(endpoint))
            except AlreadyExists:
                pass
            try:
                there = await self._store.get(WorkloadEndpoint, endpoint.name, endpoint.namespace)
                return await self._writes.submit(_ALL, Update(endpoint.with_metadata(resource_version=there.revision)))
            except (NotFound, Conflict):
                continue
        raise Conflict(f"write WorkloadEndpoint {endpoint.namespace}/{endpoint.name}: lost {ATTEMPTS} races in a row")

    async def remove(self, attachment: Attachment, pod: Pod, read: WorkloadEndpoint | None = None) -> None:
        """Delete a pod's endpoint, unless it is a newer container's. `read`: as somebody has just read it."""
        for _ in range(ATTEMPTS):
            present = read or await self.of(pod)
            if present is None or not is_of(present, attachment):
                return None
            try:
                return await self._writes.submit(_ALL, Delete(present))
            except (NotFound, Conflict):
                read = None  # somebody wrote it: look whose it is now
        raise Conflict(f"delete the WorkloadEndpoint of {pod.namespace}/{pod.name}: lost {ATTEMPTS} races in a row")

    async def cluster(self) -> ClusterInformation | None:
        """Return what says whether the datastore may be used, read once for all who ask at the same time."""
        return await self._readiness.submit(_ALL, None)

    async def _read_cluster(self, key: str, asked: Sequence[None]) -> Sequence[ClusterInformation | None]:
        del key
        return [await found_or_none(self._store.get(ClusterInformation, "default"))] * len(asked)

    async def _write(self, key: str, writes: Sequence[Create | Update | Delete]) -> Sequence[Exception | None]:
        """Carry all out in one transaction; if one is refused, each on its own."""
        del key
        if self._store.atomic:
            try:
                await self._store.write(*writes)
                return [None] * len(writes)
            except (AlreadyExists, NotFound, Conflict) as refusal:
                if len(writes) == 1:
                    return [refusal]
        return await asyncio.gather(*map(self._write_alone, writes))

    async def _write_alone(self, write: Create | Update | Delete) -> Exception | None:
        try:
            await self._store.write(write)
        except DatastoreError as refusal:
            return refusal
        return None
