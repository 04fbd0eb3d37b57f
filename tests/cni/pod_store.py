"""A store in memory where pods are the endpoints: they are made and deleted by others, and only written on here."""

from __future__ import annotations

import asyncio

from datastore.errors import NotFound
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import workload_endpoint_name
from datastore.record import Resource
from datastore.store import Delete, Write
from datastore.watch import Key, key_of
from tests.cni.node import NODE
from tests.datastore.memory_store import MemoryStore


class PodStore(MemoryStore):
    """refusal: what writing on a pod fails with. open: cleared, a write on a pod hangs before it is carried out."""

    def __init__(self) -> None:
        super().__init__(atomic=False)
        self.refusal: Exception | None = None
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()
        self.written: list[str] = []
        """The containers that were written on pods, in order."""

    def make_pod(self, name: str = "web-1", **annotations: str) -> str:
        """Have a pod of this name, another one than before; return its UID."""
        made = self._put(_pod(name).with_metadata(annotations=annotations), None)
        return made.metadata.uid or ""

    def pod(self, name: str = "web-1") -> WorkloadEndpoint:
        found = self.objects[_key(name)]
        assert isinstance(found, WorkloadEndpoint)
        return found

    def report(self, *addresses: str, name: str = "web-1") -> None:
        """Have the pod's status show these addresses."""
        pod = self.pod(name)
        self._put(pod.with_spec(ip_networks=addresses), pod)

    def delete_pod(self, name: str = "web-1") -> None:
        del self.objects[_key(name)]

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        if any(isinstance(write.resource, WorkloadEndpoint) for write in writes):
            self.asked.set()
            await self.open.wait()
            if self.refusal:
                raise self.refusal
        return await super().write(*writes)

    def _carry_out(self, write: Write) -> Resource | None:
        endpoint = write.resource
        if not isinstance(endpoint, WorkloadEndpoint):
            return super()._carry_out(write)
        held = self.objects.get(key_of(endpoint))
        if not isinstance(held, WorkloadEndpoint) or endpoint.metadata.uid not in (None, held.metadata.uid):
            raise NotFound(f"write on {key_of(endpoint)}: that pod is gone")
        given_back = isinstance(write, Delete)
        self.written.append("" if given_back else str(endpoint.spec.container_id))
        networks = () if given_back else endpoint.spec.ip_networks
        return self._put(held.with_spec(ip_networks=networks, container_id=endpoint.spec.container_id), held)


def _pod(name: str) -> WorkloadEndpoint:
    return WorkloadEndpoint.make(workload_endpoint_name(NODE, name), "default", node=NODE, pod=name)


def _key(name: str) -> Key:
    return key_of(_pod(name))
