"""Who routes to pods: the agent, as the verbs see it."""

from __future__ import annotations

from typing import Protocol

from datastore.kinds.pods import WorkloadEndpoint


class Attacher(Protocol):
    """Routes to pods, and takes the routes back."""

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        """Route the endpoint's addresses to the device with this index; return when the kernel has the routes."""

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        """Take the routes back, unless a newer container has the endpoint's name. Its addresses may be unknown."""


class FakeAttacher:
    """An agent without a kernel: it remembers which endpoint leads to which device, by the endpoint's name."""

    def __init__(self) -> None:
        self.attached: dict[str, tuple[WorkloadEndpoint, int]] = {}
        self.failure: Exception | None = None

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        if self.failure:
            raise self.failure
        self.attached[endpoint.name] = endpoint, device

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        there = self.attached.get(endpoint.name)
        if there and there[0].spec.container_id == endpoint.spec.container_id:
            del self.attached[endpoint.name]
