"""Every path to a prefix: what each peer announced, and what became of it.

Pure: no I/O, no clock, no logging.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bgp.decision import CandidatePath, DecisionStep, lost_at
from bgp.import_policy import RejectReason
from bgp.rib_in import RibIn
from bgp.speaker import Attributes
from net.prefix import Prefix


class PathReport(Struct, frozen=True):
    """One path of one peer. It is in use, unless it was rejected or lost at a step of the decision.

    stale: kept over a restart, and not repeated since (RFC 4724).
    """

    peer: str
    path_id: int
    external: bool
    stale: bool
    attributes: Attributes
    rejected: RejectReason | None = None
    lost_at: DecisionStep | None = None

    @property
    def in_use(self) -> bool:
        return self.rejected is None and self.lost_at is None

    def to_json(self) -> dict[str, Any]:
        return {
            "peer": self.peer,
            "path_id": self.path_id,
            "external": self.external,
            "stale": self.stale,
            "attributes": self.attributes.to_json(),
            "rejected": self.rejected,
            "lost_at": self.lost_at,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> PathReport:
        """Raises KeyError, TypeError or ValueError: it is not one."""
        return cls(
            peer=str(record["peer"]),
            path_id=int(record["path_id"]),
            external=bool(record["external"]),
            stale=bool(record["stale"]),
            attributes=Attributes.from_json(record["attributes"]),
            rejected=None if record["rejected"] is None else RejectReason(record["rejected"]),
            lost_at=None if record["lost_at"] is None else DecisionStep(record["lost_at"]),
        )


def path_reports(rib_in: RibIn, prefix: Prefix) -> tuple[PathReport, ...]:
    """Return every path to a prefix: those in use first, then those that lost, then those that were rejected."""
    found = [(peer, key, received) for peer in rib_in.peers.values() for key, received in peer.paths_to(prefix)]
    accepted = [
        CandidatePath(received.attributes, peer.external, peer.neighbour.address)
        for peer, _, received in found
        if received.reject_reason is None
    ]
    steps = iter(lost_at(accepted))
    reports = [
        PathReport(
            peer=peer.neighbour.address,
            path_id=key.path_id,
            external=peer.external,
            stale=key in peer.stale,
            attributes=received.attributes,
            rejected=received.reject_reason,
            lost_at=next(steps) if received.reject_reason is None else None,
        )
        for peer, key, received in found
    ]
    return tuple(sorted(reports, key=lambda report: (report.rejected is not None, report.lost_at is not None)))
