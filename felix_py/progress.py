"""How far the agent is. What of it makes a node ready is decided by status_model.AgentProgress."""

from __future__ import annotations

import asyncio

from msgspec import Struct, field

from felix_py.status_model import HostWarning


class Progress(Struct):
    """Each step is done once, but for the connection to the sidecar, which comes and goes."""

    fib_read: bool = False
    datastore_in_sync: bool = False
    first_write: bool = False
    sidecar_connected: bool = False
    sidecar_differs: bool = False
    """Whether the sidecar that runs speaks another version of the protocol."""
    learned_settled: bool = False
    attach_refused: str | None = "it has not been tried yet"
    """Why no pod's device can be made here; None once one has been."""
    held_back: str = ""
    """Why nothing that the datastore says is acted on; "" = it is."""
    identity: str = ""
    """What of this node's Node is not as this host is; "" = nothing."""
    not_installed: str = ""
    """Why the container runtime has not got our network's list yet; "" = it has, or is to have none from us."""
    in_the_way: tuple[HostWarning, ...] = ()
    """What of this host keeps pods' packets from their way, or pods from this network."""
    cut_off: tuple[HostWarning, ...] = ()
    """Which pods have no device that is up."""
    _wrote: asyncio.Event = field(default_factory=asyncio.Event)

    async def wrote_first(self) -> None:
        """Note that the kernel has what the datastore asks for."""
        self.first_write = True
        self._wrote.set()

    async def wait(self) -> None:
        """Return when the kernel has what the datastore asks for: pods may be attached."""
        await self._wrote.wait()
