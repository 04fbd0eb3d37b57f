"""What an answer of the API server means to a store's caller. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from datastore.errors import AlreadyExists, Conflict, DatastoreError, Forbidden, Invalid, NotFound, Unavailable

GONE = 410
"""The revision asked for is older than what the server remembers: list again."""
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS = 401, 403, 404, 429


class Expired(Unavailable):
    """The server has forgotten the revision, or the place in a list, that was asked for."""


class NotServed(NotFound):
    """The server knows no such kind in that group: its definition is not installed, or in another group."""


class NotNow(Unavailable):
    """The server is there, and says that it cannot serve this now, as when what it needs is away.

    retry_after_seconds: how long it asks to wait; 0: it does not say.
    """

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class TooMany(NotNow):
    """It serves fewer than ask it: who asks again soon keeps it so."""


class Status(msgspec.Struct):
    """Kubernetes' `Status` object, which every refusal is."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: dict[str, Any] | None = None

    @property
    def retry_after_seconds(self) -> float:
        """How long the server asks to wait; 0: it does not say."""
        seconds = (self.details or {}).get("retryAfterSeconds", 0)
        return float(seconds) if isinstance(seconds, int | float) else 0.0


def read_status(code: int, body: bytes) -> Status:
    """Return what a refusal says; a body that is no Status is its message."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Status(message=body[:200].decode(errors="replace").strip(), code=code)


def retry_after(headers: Mapping[str, str], status: Status) -> float:
    """Return how many seconds the server asks to wait, by header or Status; 0: it does not say."""
    given = headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else status.retry_after_seconds


def not_now(code: int, said: str, retry_after_seconds: float) -> NotNow | None:
    """Return the error of a status that is about the server's state, which may change by itself; None: it is not."""
    if code == TOO_MANY_REQUESTS:
        return TooMany(said, retry_after_seconds)
    return NotNow(said, retry_after_seconds) if 500 <= code <= 599 else None


def refusal(what: str, code: int, status: Status) -> DatastoreError:
    """Return the error that a refusal of `what` is raised as."""
    said = f"{what}: {status.message or 'the API server gave no reason'}"
    match code:
        case 404 if status.reason != "NotFound":  # a plain text, where an object that is missing has a Status
            return NotServed(said)
        case 404:
            return NotFound(said)
        case 410:
            return Expired(f"{said} (410)")
        case 409 if status.reason == "AlreadyExists":
            return AlreadyExists(said)
        case 409 if "Precondition failed: UID" in status.message:
            return Conflict(f"{what}: it was deleted and created again since it was read; read it again")
        case 409:
            return Conflict(f"{said}; read it again")
        case 400 | 413 | 422:
            return Invalid(said)
        case 401:
            return Unavailable(f"{said}; the API server does not accept who we are (401)")
        case 403:
            return Forbidden(f"{said}; the role of this account lacks it (403)")
        case _:
            said = f"{said} ({code})"
            return not_now(code, said, status.retry_after_seconds) or Unavailable(said)
