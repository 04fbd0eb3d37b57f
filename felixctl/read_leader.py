"""Who leads the controllers of a cluster, asked of its datastore: a Lease that looks old is read again for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from datastore.cas import found_or_none
from datastore.defaults import CONTROLLER_LEASE
from datastore.errors import DatastoreError
from datastore.kinds.lease import Lease
from datastore.store import Store
from felixctl.leader import Leader, is_settled

LOOK_SECONDS = 5.0
"""A leader renews it every two to three seconds."""
AGAIN_SECONDS = 0.5


async def read_leader(
    store: Store, namespace: str, look_seconds: float = LOOK_SECONDS, epoch: Callable[[], float] = time.time
) -> Leader:
    """Return who leads. It takes `look_seconds` where nobody does, and no role but the viewer's and its own may ask."""
    try:
        lease = await _lease(store, namespace)
        renewed = lease is not None and (is_settled(lease, epoch()) or await _is_renewed(store, lease, look_seconds))
        return Leader(namespace, lease, renewed)
    except DatastoreError as error:
        return Leader(namespace, unread=str(error))


async def _is_renewed(store: Store, lease: Lease, look_seconds: float) -> bool:
    """Return whether somebody writes it within this time."""
    try:
        async with asyncio.timeout(look_seconds):
            while True:
                found = await _lease(store, lease.metadata.namespace or "")
                if found != lease:
                    return found is not None and bool(found.spec.holder)
                await asyncio.sleep(AGAIN_SECONDS)
    except TimeoutError:
        return False


async def _lease(store: Store, namespace: str) -> Lease | None:
    return await found_or_none(store.get(Lease, CONTROLLER_LEASE, namespace))
