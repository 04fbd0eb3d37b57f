"""What every loop around a compare-and-swap needs: how often to try, and the errors that mean a lost race."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from datastore.errors import AlreadyExists, Conflict, NotFound

T = TypeVar("T")

ATTEMPTS = 100
"""How often a write that lost a race is decided again, from what was read again."""

LOST_RACE = (Conflict, AlreadyExists, NotFound)
"""What a write raises when another writer changed the object after it was read."""


async def found_or_none(reading: Awaitable[T]) -> T | None:
    """Return what a `get` returns, or None where it raises NotFound."""
    try:
        return await reading
    except NotFound:
        return None
