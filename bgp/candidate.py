"""A session that is configured, before it is known whether another one has its address.

Pure. For the agent only: it holds a pydantic resource, which the sidecar's process does without.
"""

from __future__ import annotations

from typing import NamedTuple

from bgp.passwords import NO_PASSWORD, SessionPassword
from bgp.speaker import HeldBackSession, Neighbour
from datastore.kinds.bgp import BGPPeer


class Candidate(NamedTuple):
    """A session that follows from one BGPPeer, or from the mesh (None)."""

    neighbour: Neighbour
    peer: BGPPeer | None
    held_back: str | None
    password: SessionPassword = NO_PASSWORD

    def as_held_back(self) -> HeldBackSession:
        session = self.neighbour
        return HeldBackSession(session.address, session.peer_as, session.kind, self.held_back or "")
