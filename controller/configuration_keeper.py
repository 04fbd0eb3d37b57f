"""Keeps KubeControllersConfiguration `default`: it is there, and its status says with what a controller runs.

An edge. Where Calico's kube-controllers runs the object is its own to write, whatever else felix-py does there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from controller.running_config import NAME, Running, missing_configuration, with_status
from datastore.cas import LOST_RACE
from datastore.errors import DatastoreError
from datastore.record import Resource
from datastore.store import StatusStore

log = logging.getLogger("felix.configuration")

Rival = Callable[[], Awaitable[str]]
"""Return a pod of Calico's kube-controllers that has not ended, "": there is none. Raises DatastoreError."""


class ConfigurationKeeper:
    def __init__(self, store: StatusStore, running: Running, rival: Rival) -> None:
        self._store, self._running, self._rival = store, running, rival
        self._told = ""

    async def keep(self, configuration: Resource | None, grace_seconds: float) -> None:
        """Write what is missing. What fails is logged and left to the next time.

        configuration: as the watch has it; None: there is none. A change that comes between is heard by the watch.
        """
        status = self._running.status(grace_seconds)
        try:
            if configuration is None:
                configuration = await self._create()
            wanted = with_status(configuration, status) if configuration is not None else None
            if wanted is not None and await self._may_write():
                await self._store.update_status(wanted)
        except LOST_RACE as lost:
            log.debug("%s; it is read again", lost)
        except DatastoreError as failure:
            log.warning("keep KubeControllersConfiguration %s: %s; it is tried again", NAME, failure)

    async def _create(self) -> Resource | None:
        if not await self._may_write():
            return None
        made = await self._store.create(missing_configuration())
        log.info("made KubeControllersConfiguration %s, as there was none", NAME)
        return made

    async def _may_write(self) -> bool:
        rival = await self._rival()
        if rival and rival != self._told:
            log.info("Calico's kube-controllers runs (%s): KubeControllersConfiguration is its to write", rival)
        self._told = rival
        return not rival
