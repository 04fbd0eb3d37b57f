"""Which controller acts for a cluster, in one line: whom its Lease names, since when, and whether anybody renews it.

Clocks of two machines differ: a Lease that looks old is read again for a while, and whoever changes it lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from datastore.cas import found_or_none
from datastore.defaults import CONTROLLER_LEASE
from datastore.errors import DatastoreError
from datastore.kinds.lease import Lease
from datastore.store import Store
from felixctl.terminal import Colour

RENEWED_WITHIN_SECONDS = 15.0
"""As long as a Lease of ours holds."""
LOOK_SECONDS = 5.0
"""A leader renews it every two to three seconds."""
AGAIN_SECONDS = 0.5
LABEL = "app.kubernetes.io/name=felix-py-controller"
NOTHING_FREED = "what pods and nodes that are gone have left is not given back"


class Leader(Struct, frozen=True):
    """namespace: of the Lease. lease: None: there is none, or it could not be read. unread: why it could not.

    renewed: whether somebody renews it.
    """

    namespace: str
    lease: Lease | None = None
    renewed: bool = False
    unread: str = ""

    @property
    def acts(self) -> bool:
        return self.renewed and bool(self.name)

    @property
    def name(self) -> str:
        """The pod that the Lease names; "": none."""
        return (self.lease.spec.holder or "").partition("_")[0] if self.lease else ""

    @property
    def since(self) -> str:
        return (self.lease.spec.acquire_time or "") if self.lease else ""

    @property
    def sentence(self) -> str:
        where = f"the Lease {self.namespace}/{CONTROLLER_LEASE}"
        look = f"see kubectl -n {self.namespace} get pods -l {LABEL}"
        if self.unread:
            return f"Which controller acts is not known: {self.unread}"
        if self.lease is None:
            return (
                f"No controller acts: there is no {where.removeprefix('the ')}; {NOTHING_FREED}, unless by Calico's"
                f" kube-controllers; {look}"
            )
        if not self.name:
            return f"No controller acts: nobody holds {where}; {NOTHING_FREED} until one does; {look}"
        if not self.renewed:
            renewed = self.lease.spec.renew_time or "it was taken"
            return f"No controller acts: {self.name} has not renewed {where} since {renewed}; {NOTHING_FREED}; {look}"
        return f"The controller {self.name} acts since {self.since or 'a time that is not noted'}: it renews {where}"

    @property
    def colour(self) -> Colour | None:
        return None if self.acts else Colour.DOUBTFUL

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"acts": self.acts, "name": self.name, "since": self.since, "says": self.sentence}


async def read_leader(
    store: Store, namespace: str, look_seconds: float = LOOK_SECONDS, epoch: Callable[[], float] = time.time
) -> Leader:
    """Return who leads. It takes `look_seconds` where nobody does, and no role but the viewer's and its own may ask."""
    try:
        lease = await _lease(store, namespace)
        if lease is None or not lease.spec.holder or looks_fresh(lease, epoch()):
            return Leader(namespace, lease, renewed=lease is not None)
        return Leader(namespace, lease, await _is_renewed(store, lease, look_seconds))
    except DatastoreError as error:
        return Leader(namespace, unread=str(error))


def looks_fresh(lease: Lease, now: float) -> bool:
    """Whether it was renewed lately by this machine's clock. now: in seconds since 1970."""
    try:
        renewed = datetime.fromisoformat(lease.spec.renew_time or "").timestamp()
    except ValueError:
        return False
    return 0 <= now - renewed <= RENEWED_WITHIN_SECONDS


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
