"""Why an address could not be given or taken back: one sentence each, for whoever is on call."""

from __future__ import annotations


class IpamError(Exception):
    """Something was asked of the address management that it could not do."""


class NoPools(IpamError):
    """No pool may be used for this request."""


class BadPool(IpamError):
    """A pool that was asked for by name does not exist, is disabled, or is of the other family."""


class BlockLimit(IpamError):
    """The host owns as many blocks as it may, and they are full."""


class Exhausted(IpamError):
    """Fewer addresses could be had than were asked for."""


class NotInPool(IpamError):
    """The address lies in no enabled pool."""


class AlreadyAssigned(IpamError):
    """The address belongs to somebody."""


class ForeignBlock(IpamError):
    """The address lies in a block of another host, and borrowing is forbidden."""


class ClaimConflict(IpamError):
    """Another host has the block, or is taking it away at this moment."""


class NotEmpty(IpamError):
    """A block was to be released only if empty, and is not."""


class WrongOwner(IpamError):
    """The address is no longer assigned as whoever releases it believes."""


class Contention(IpamError):
    """Every attempt was overtaken by another writer."""
