"""One thing that a host is looked at for, and what was found.

Pure.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Availability(StrEnum):
    """Whether a node has what it needs."""

    PRESENT = "there"
    LOADABLE = "loads when needed"
    BY_AGENT = "the agent sets it"
    MISSING = "MISSING"
    WRONG = "WRONG"
    UNKNOWN = "not known"


class Finding(Struct, frozen=True):
    """One requirement, and whether the node has it."""

    name: str
    state: Availability
    purpose: str
    required: bool
    detail: str = ""

    @property
    def fails(self) -> bool:
        return self.required and self.state in (Availability.MISSING, Availability.WRONG)
