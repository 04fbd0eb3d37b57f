"""STATUS: can this agent attach a pod? Of an error a runtime makes the whole node NotReady, and its pods are evicted.

So a full pool and a sidecar that is away are lines in the log, not errors: the pods that run are served, and an ADD
that fails for lack of an address is tried again elsewhere. A runtime asks every few seconds, so nothing is read for it:
a datastore that is away is the watch's to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cni.capacity import shortage
from cni.errors import CniError, Code
from cni.host_local import delegates
from cni.request import CniRequest
from cni.settings import CniSettings
from ipam.room import Room

log = logging.getLogger("cni.status")


class StatusVerb:
    """Says what the kubelet should act on, and logs what a person should, once each time that it changes."""

    def __init__(
        self,
        settings: CniSettings,
        room: Callable[[str], Room | None],
        inability: Callable[[], str | None],
        limitation: Callable[[], str | None],
    ) -> None:
        """room: what is known of the room on a node, None: nothing yet.

        inability: why no pod's device can be made, if so. limitation: what running pods may suffer from, if so.
        """
        self._settings, self._room = settings, room
        self._inability, self._limitation = inability, limitation
        self._concern: str | None = None

    async def run(self, request: CniRequest) -> None:
        """Raises CniError (50): no pod can be attached here, whatever the datastore holds."""
        if why := self._inability():
            raise CniError(Code.NOT_SERVING, f"STATUS: no pod can be attached on this node: {why}")
        shortage = None if delegates(request) else self._shortage(request)
        concern = shortage or self._limitation()
        if concern != self._concern:
            self._concern = concern
            if concern:
                log.warning("STATUS: pods can be attached as far as this node is concerned, but: %s", concern)
            else:
                log.info("STATUS: nothing is amiss any more")

    def _shortage(self, request: CniRequest) -> str | None:
        """Return why the next ADD may find no address, if so."""
        node, section = self._settings.node, request.network.ipam
        room = self._room(node)
        if room is None:
            return None
        wanted = [version for version, asked in ((4, section.assign_ipv4), (6, section.assign_ipv6)) if asked]
        return next(filter(None, (shortage(version, node, room) for version in wanted)), None)
