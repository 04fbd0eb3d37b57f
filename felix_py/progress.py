"""How far the agent is: what readiness is made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Each step is done once, but for the connection to the sidecar, which comes and goes."""

    fib_read: bool = False
    datastore_in_sync: bool = False
    first_write: bool = False
    sidecar_connected: bool = False
    learned_settled: bool = False
    _wrote: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        return self.fib_read and self.datastore_in_sync and self.first_write

    async def wrote_first(self) -> None:
        """Note that the kernel has what the datastore asks for."""
        self.first_write = True
        self._wrote.set()

    async def wait(self) -> None:
        """Return when the kernel has what the datastore asks for: pods may be attached."""
        await self._wrote.wait()
