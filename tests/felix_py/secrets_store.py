"""A datastore of Secrets that can be locked, and that can fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, cast

from datastore.errors import Forbidden
from datastore.kinds.secret import Secret
from datastore.record import Resource
from datastore.store import Interest, WatchEvent
from tests.datastore.memory_store import MemoryStore

NOWHERE = Path("/dev/null/note")
"""Where nothing can be noted."""
LACKING = "watch secrets: the role of this account lacks it (403)"


def secret(name: str = "bgp", namespace: str = "kube-system", value: str = "czNjcmV0") -> Secret:
    metadata = {"name": name, "namespace": namespace}
    return Secret.read({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"rack1": value}})


class SecretsStore(MemoryStore):
    """A store that can be locked, and that can fall silent before its first answer."""

    def __init__(self, *resources: Resource) -> None:
        super().__init__(*resources)
        self.locked, self.answers = asyncio.Event(), asyncio.Event()
        self.answers.set()
        self.watched: list[Interest[Any]] = []

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        self.watched += [one for one in interests if isinstance(one, Interest)]
        await self.answers.wait()
        events = cast(AsyncGenerator[WatchEvent, None], super().watch(*interests))
        while True:
            event, lock = asyncio.ensure_future(anext(events)), asyncio.create_task(self.locked.wait())
            await asyncio.wait({event, lock}, return_when=asyncio.FIRST_COMPLETED)
            lock.cancel()
            if self.locked.is_set():
                event.cancel()
                raise Forbidden(LACKING)
            yield event.result()

    async def replace(self, changed: Secret) -> None:
        before = await self.get(Secret, changed.name, changed.namespace)
        await self.update(changed.with_metadata(resource_version=before.revision))
