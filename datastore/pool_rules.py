"""What holds for the CIDR of every pool, and which networks share addresses.

Pure, and without pydantic: whoever checks addresses needs no more of pools.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from datastore.fields import Network, network

USUAL_BLOCK_SIZE = {4: 26, 6: 122}
BLOCK_SIZES = {4: range(20, 33), 6: range(116, 129)}
_LINK_LOCAL = (network("169.254.0.0/16"), network("fe80::/10"))


def misfit(cidr: Network, block_size: int | None, *, disabled: bool) -> str | None:
    """Return why a pool of this CIDR cannot be cut into blocks of this size; None: it can. block_size: in bits."""
    sizes = BLOCK_SIZES[cidr.version]
    size = USUAL_BLOCK_SIZE[cidr.version] if block_size is None else block_size
    if size not in sizes:
        return f"blockSize {size} is not between {sizes[0]} and {sizes[-1]} (IPv{cidr.version})"
    if size < cidr.prefixlen and not disabled:
        return f"cidr {cidr} is smaller than one block of /{size}: set a larger blockSize or cidr"
    return None


def link_local_within(cidr: Network) -> Network | None:
    """Return the link-local network that shares addresses with this one, which no pool may."""
    return next((reserved for reserved in _LINK_LOCAL if overlap(cidr, reserved)), None)


def overlap(one: Network, other: Network) -> bool:
    """Whether two networks share an address; families never do."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return not isinstance(other, IPv4Network) and one.overlaps(other)
