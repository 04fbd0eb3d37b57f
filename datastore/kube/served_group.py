"""In which API group and version this cluster serves Calico's resources.

An edge. A group that is named is taken, and else Calico's own v3 where nothing else is served, as its clients do. That
is asked once, and again where a whole kind is not found: the definitions may be installed later, or move from one group
to the other under us. While they move both are served, and only who is told knows which of them counts.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from datastore.kube.answers import NotServed
from datastore.kube.client import ApiClient
from datastore.record import CRD, V3

T = TypeVar("T")

log = logging.getLogger(__name__)


class ServedGroup:
    def __init__(self, client: ApiClient, named: str | None = None) -> None:
        """named: the group and version to take, whatever is served."""
        self._client, self._named = client, named
        self.version = named or ""
        """The group and version found last, such as `crd.projectcalico.org/v1`; empty: it was never asked."""
        self._is_served = named is not None
        self._asking = asyncio.Lock()

    async def __call__(self) -> str:
        """Return the group and version. Raises what a request raises."""
        async with self._asking:  # many verbs may be the first, and one answer is enough for all
            if not self._is_served:
                await self._ask()
        return self.version

    def forget(self, version: str) -> None:
        """Have it asked again: a kind was not found in this version."""
        if version == self.version and self._named is None:
            self._is_served = False

    async def send(self, request: Callable[[str], Awaitable[T]]) -> T:
        """Return what a request returns that is given the version; it is sent again if that is another by now.

        Raises NotServed: the kind is not found where it should be; and what the request raises.
        """
        version = await self()
        try:
            return await request(version)
        except NotServed:
            self.forget(version)
            if (served := await self()) == version:
                raise
            return await request(served)

    async def _ask(self) -> None:
        answer = await self._client.request("read the API's groups", "GET", "/apis")
        groups = {group.get("name") for group in json.loads(answer.body).get("groups", ())}
        crd, v3 = (version.partition("/")[0] in groups for version in (CRD, V3))
        before, self._is_served = self.version, crd or v3
        if self._is_served or not before:  # else they are away, which is no move
            self.version = V3 if v3 and not crd else CRD
        if before not in ("", self.version):
            log.warning("Calico's resources are served in %s now, not in %s: all are read anew", self.version, before)
