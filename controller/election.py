"""Who of several controllers acts: what one of them knows of the Lease, and what follows from it.

Pure. No two clocks are compared. A candidate takes a Lease that it has seen unchanged for the whole of its duration, by
its own clock. Who holds it acts until an earlier moment, counted from before it asked for its last renewal: so whoever
cannot renew has stopped before another may begin.

A Lease that is not there may have been deleted under somebody who still acts, and may have come and gone unseen. So it
is made as nobody's, and waited for like any other. One that was given back says so by a duration of a second.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from datastore.fields import micro_time_text
from datastore.kinds.lease import Lease

NEVER = float("-inf")
GIVEN_BACK_SECONDS = 1


class Terms(NamedTuple):
    duration_seconds: int = 15
    """For how long a Lease holds that is not renewed."""
    deadline_seconds: float = 10.0
    """For how long a holder acts that cannot renew it; what it has begun has the rest of the duration to end."""
    retry_seconds: float = 2.0
    """Between two looks at the Lease, or two renewals."""


TERMS = Terms()


class Candidate(Struct, frozen=True):
    """What one process knows of the Lease. All times are seconds of its own clock, which goes on while it is stopped.

    identity: of this process alone, not of those before it under its name.
    """

    name: str
    namespace: str
    identity: str
    terms: Terms = TERMS
    lease: Lease | None = None
    """As it was last seen; None: there was none."""
    seen_at: float | None = None
    """When it was first seen like that; None: nobody has looked yet."""
    leads_until: float = NEVER

    @property
    def holds(self) -> bool:
        """Whether the Lease names this process, as far as it knows."""
        return self.lease is not None and self.lease.spec.holder == self.identity

    def leads(self, now: float) -> bool:
        """Whether this process may act at this moment."""
        return now < self.leads_until

    def saw(self, lease: Lease | None, now: float) -> Candidate:
        """Take in the Lease as it was read. now: after the answer came.

        Who finds itself replaced acts no more. Finding its own name again gives nobody time: only a write does.
        """
        if self.seen_at is not None and lease == self.lease:
            return self
        seen = replace(self, lease=lease, seen_at=now)
        return seen if seen.holds else replace(seen, leads_until=NEVER)

    def wrote(self, lease: Lease, asked_at: float, now: float) -> Candidate:
        """Take in the Lease that was written. asked_at: before the request was sent."""
        seen = self.saw(lease, now)
        return replace(seen, leads_until=asked_at + self.terms.deadline_seconds) if seen.holds else seen

    def write(self, now: float, wall_ns: int) -> Lease | None:
        """Return the Lease to create, if it has no revision, or else to write; None: it is another's, or not known.

        wall_ns: the time of day, for people.
        """
        if self.seen_at is None:
            return None
        if self.lease is None:
            return Lease.make(self.name, self.namespace, holder="", duration_seconds=self.terms.duration_seconds)
        if self.holds:
            return self._renewed(self.lease, wall_ns)
        if now < self.seen_at + self._holds_for(self.lease):
            return None
        transitions, acquired = (self.lease.spec.transitions or 0) + 1, micro_time_text(wall_ns)
        taken = self.lease.with_spec(holder=self.identity, acquire_time=acquired, transitions=transitions)
        return self._renewed(taken, wall_ns)

    def given_back(self, wall_ns: int) -> Lease | None:
        """Return the Lease to write so that another may take it; None: it is not this process's."""
        if self.lease is None or not self.holds:
            return None
        now = micro_time_text(wall_ns)
        return self.lease.with_spec(holder="", duration_seconds=GIVEN_BACK_SECONDS, renew_time=now)

    def _holds_for(self, lease: Lease) -> float:
        """Return for how long a Lease holds that is not renewed: as it says, and for one that has a holder no less than
        by this process's own terms.
        """
        least = self.terms.duration_seconds if lease.spec.holder else GIVEN_BACK_SECONDS
        return max(least, lease.spec.duration_seconds or self.terms.duration_seconds)

    def _renewed(self, lease: Lease, wall_ns: int) -> Lease:
        return lease.with_spec(renew_time=micro_time_text(wall_ns), duration_seconds=self.terms.duration_seconds)
