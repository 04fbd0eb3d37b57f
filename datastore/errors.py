"""How a verb of a store can fail, as its callers distinguish it. Each message is a sentence for whoever is on call."""

from __future__ import annotations


class DatastoreError(Exception):
    """The base of everything this package raises on purpose."""


class NotFound(DatastoreError):
    """No such object. One that is flagged as deleted counts as none."""


class AlreadyExists(DatastoreError):
    """A create met an object of that name."""


class Conflict(DatastoreError):
    """Another writer changed the object after it was read: read again and decide again."""


class Unavailable(DatastoreError):
    """The store did not answer, or could not write. The same call may succeed later."""


class Forbidden(Unavailable):
    """The store does not let this account do that; it may succeed once its rights are others."""


class Invalid(DatastoreError):
    """An argument is wrong, and trying again will not help: an object, a URL, or a file of another version."""


class BadRecord(Invalid):
    """The object is there, but its record is not valid for its kind: what it says is unknown until it is repaired."""
