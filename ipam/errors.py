"""Why an address could not be assigned or released. Each message is a sentence for whoever is on call."""

from __future__ import annotations


class IpamError(Exception):
    """The base of everything this package raises on purpose."""


class NoPools(IpamError):
    """No pool may be used for the request."""


class BadPool(IpamError):
    """A pool that was requested by name does not exist, is disabled, or is of the other family."""


class BlockLimit(IpamError):
    """The host owns as many blocks as it may, and they are full."""


class Exhausted(IpamError):
    """There are fewer free addresses than were requested."""


class NotInPool(IpamError):
    """The address lies in no enabled pool."""


class UnfitAddress(IpamError):
    """The address can't be a pod's, whatever pool it lies in: it is a host's, or none that is routed."""


class AlreadyAssigned(IpamError):
    """The address is assigned already."""


class HandleInUse(IpamError):
    """Addresses may be assigned under the handle already, and it was to be new."""

    def __init__(self, handle: str) -> None:
        super().__init__(f"assign {handle}: something is assigned under this handle already")


class CompanionRefused(IpamError):
    """What was to be written together with addresses cannot be written; of the addresses nothing was done either."""

    def __init__(self, handle: str, companion: str) -> None:
        super().__init__(f"write {companion} with the addresses of {handle}: it was written by another meanwhile")


class ForeignBlock(IpamError):
    """The address lies in a block of another host, and borrowing is forbidden."""


class ClaimConflict(IpamError):
    """Another host owns the block, or is changing its affinity at this moment."""


class NotEmpty(IpamError):
    """A block was to be released only if empty, and is not."""


class WrongOwner(IpamError):
    """The address is not assigned (any more) as its release says."""


class Contention(IpamError):
    """Every attempt lost the race against another writer."""
