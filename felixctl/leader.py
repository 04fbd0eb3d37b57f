"""Which controller acts for a cluster, in one line: whom its Lease names, since when, and whether anybody renews it.

Clocks of two machines differ: a Lease that looks old proves nothing, and whoever changes it lives.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import Struct

from datastore.defaults import CONTROLLER_LEASE
from datastore.summaries import ODD
from felixctl.terminal import Colour
from net.printable import one_line

if TYPE_CHECKING:  # pydantic comes with it, and a check of a sound cluster needs none
    from datastore.kinds.lease import Lease

RENEWED_WITHIN_SECONDS = 15.0
"""As long as a Lease of ours holds."""
LABEL = "app.kubernetes.io/name=felix-py-controller"
_OK, _NOT_FOUND = 200, 404
NOTHING_FREED = "what pods and nodes that are gone have left is not given back"


class PlainLeaseSpec(Struct, frozen=True):
    holder: str | None = msgspec.field(default=None, name="holderIdentity")
    acquire_time: str | None = msgspec.field(default=None, name="acquireTime")
    renew_time: str | None = msgspec.field(default=None, name="renewTime")


class PlainLease(Struct, frozen=True):
    """What of a Lease says who leads."""

    spec: PlainLeaseSpec = PlainLeaseSpec()


AnyLease: TypeAlias = "Lease | PlainLease"


class Leader(Struct, frozen=True):
    """namespace: of the Lease. lease: None: there is none, or it could not be read. unread: why it could not.

    renewed: whether somebody renews it.
    """

    namespace: str
    lease: AnyLease | None = None
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
    def line(self) -> str:
        """The sentence as it is printed beneath a report."""
        return one_line(f"{self.sentence}.") + "\n"

    @property
    def colour(self) -> Colour | None:
        return None if self.acts else Colour.DOUBTFUL

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"acts": self.acts, "name": self.name, "since": self.since, "says": self.sentence}


def looks_fresh(lease: AnyLease, now: float) -> bool:
    """Whether it was renewed lately by this machine's clock. now: in seconds since 1970."""
    try:
        renewed = datetime.fromisoformat(lease.spec.renew_time or "").timestamp()
    except ValueError:
        return False
    return 0 <= now - renewed <= RENEWED_WITHIN_SECONDS


def is_settled(lease: AnyLease, now: float) -> bool:
    """Whether one look tells who leads: nobody, or who has renewed it lately. now: in seconds since 1970."""
    return not lease.spec.holder or looks_fresh(lease, now)


def leader_told(status: int, body: bytes, namespace: str, now: float) -> Leader | None:
    """Return who leads as an API server's answer says that was asked for the Lease; None: the store is to be asked."""
    if status == _NOT_FOUND:
        return Leader(namespace)
    try:
        lease = msgspec.json.decode(body, type=PlainLease)
    except ODD:
        return None
    return Leader(namespace, lease, renewed=True) if status == _OK and is_settled(lease, now) else None
