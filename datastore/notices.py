"""A notice: something a user wrote that is accepted and stored, and not obeyed.

Pure. The function that meets such a field, kind or value returns a notice beside its result; the agent logs each once,
counts them, and shows them in its status; felixctl prints those of what it has just written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict


class Notice(Struct, frozen=True, order=True):
    """kind: a resource's kind, or "Setting" for a variable of the environment or the settings file.

    name: the object's name (`namespace/name` where it has one), or the variable's.
    field: where in the object, such as `spec.filters`; "" = the object as a whole.
    reason: why it is not obeyed. effect: what happens instead. Both are clauses without a full stop.
    """

    kind: str
    name: str
    field: str
    reason: str
    effect: str

    def __str__(self) -> str:
        where = f'{self.kind} "{self.name}"' + (f" {self.field}" if self.field else "")
        return f"{where}: {self.reason}; {self.effect}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Notice:
        """Raises TypeError or KeyError: a field is missing or unknown."""
        return cls(**{name: str(value) for name, value in record.items()})
