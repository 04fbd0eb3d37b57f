"""STATUS: could one more pod be attached here? A runtime makes the whole node NotReady of an error."""

from __future__ import annotations

from collections.abc import Callable

from cni.capacity import shortage
from cni.endpoints import Endpoints
from cni.protocol import CniError, CniRequest, Code
from cni.settings import CniSettings
from datastore.cas import found_or_none
from datastore.errors import Unavailable
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.store import Store


class StatusVerb:
    """Asks the datastore whether it answers and has an address left, and the agent whether its pods are connected."""

    def __init__(
        self, settings: CniSettings, store: Store, endpoints: Endpoints, limitation: Callable[[], str | None]
    ) -> None:
        """limitation: why pods that run may have limited connectivity, if they have."""
        self._settings, self._store, self._endpoints, self._limitation = settings, store, endpoints, limitation

    async def run(self, request: CniRequest) -> None:
        """Raises CniError: 50, no pod can be attached; 51, pods may have limited connectivity."""
        try:
            await self._endpoints.require_ready()
            pools, existing = await self._store.list(IPPool), await self._store.list(IPAMBlock)
            config = await found_or_none(self._store.get(IPAMConfig, "default"))
        except Unavailable as error:
            raise CniError(Code.NOT_SERVING, f"STATUS: the datastore does not answer: {error}") from error
        except CniError as error:
            raise CniError(Code.NOT_SERVING, f"STATUS: {error.sentence}") from error
        section = request.network.ipam
        for version, wanted in ((4, section.assign_ipv4), (6, section.assign_ipv6)):
            if wanted and (why := shortage(version, self._settings.node, pools.objects, existing.objects, config)):
                raise CniError(Code.NOT_SERVING, f"STATUS: {why}")
        if why := self._limitation():
            raise CniError(Code.LIMITED, f"STATUS: {why}")
