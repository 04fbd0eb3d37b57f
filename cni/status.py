"""STATUS: can this agent attach a pod? Of an error a runtime makes the whole node NotReady, and its pods are evicted.

So a full pool, a datastore that is away and a sidecar that is away are lines in the log, not errors: the pods that run
are served, and an ADD that fails for lack of an address is tried again elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cni.capacity import shortage
from cni.host_local import delegates
from cni.protocol import CniError, CniRequest, Code
from cni.settings import CniSettings
from datastore.cas import found_or_none
from datastore.errors import DatastoreError
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.store import Store

log = logging.getLogger("cni.status")

DATASTORE_SECONDS = 2.0
"""How long the datastore may take to answer; the shim waits 5 s."""


class StatusVerb:
    """Says what the kubelet should act on, and logs what a person should, once each time that it changes."""

    def __init__(
        self,
        settings: CniSettings,
        store: Store,
        inability: Callable[[], str | None],
        limitation: Callable[[], str | None],
    ) -> None:
        """inability: why no pod's device can be made, if so. limitation: what running pods may suffer from, if so."""
        self._settings, self._store = settings, store
        self._inability, self._limitation = inability, limitation
        self._concern: str | None = None

    async def run(self, request: CniRequest) -> None:
        """Raises CniError (50): no pod can be attached here, whatever the datastore holds."""
        if why := self._inability():
            raise CniError(Code.NOT_SERVING, f"STATUS: no pod can be attached on this node: {why}")
        shortage = None if delegates(request) else await self._shortage(request)
        concern = shortage or self._limitation()
        if concern != self._concern:
            self._concern = concern
            if concern:
                log.warning("STATUS: pods can be attached as far as this node is concerned, but: %s", concern)
            else:
                log.info("STATUS: nothing is amiss any more")

    async def _shortage(self, request: CniRequest) -> str | None:
        """Return why the next ADD will find no address, if so."""
        try:
            async with asyncio.timeout(DATASTORE_SECONDS):
                pools, existing = await self._store.list(IPPool), await self._store.list(IPAMBlock)
                config = await found_or_none(self._store.get(IPAMConfig, "default"))
        except (DatastoreError, TimeoutError) as error:
            return f"the datastore does not answer: {error or 'not in time'}"
        section = request.network.ipam
        for version, wanted in ((4, section.assign_ipv4), (6, section.assign_ipv6)):
            if wanted and (why := shortage(version, self._settings.node, pools.objects, existing.objects, config)):
                return why
        return None
