"""A network as the kernel and BGP write it: packed bytes and a length.

Pure, and on every hot path: RIB, FIB and the wire all use this value. `ipaddress` stays at the border,
where text comes in (its networks cost twelve times as much to make).
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from net.family import Family, family_of_address


class Prefix(NamedTuple):
    """An IPv4 or IPv6 network: its address in network order (4 or 16 bytes) and its length in bits.

    It hashes and compares as the plain tuple, sorts by address and then shorter first (within a family).
    """

    packed: bytes
    length: int

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Return the prefix written as `10.0.0.0/26`, `10.0.0.1` or `fd00::/64`.

        Raises ValueError: not an address, a length out of range, or bits set beyond the length.
        """
        address, slash, length = text.partition("/")
        packed = pack(address)
        bits = 8 * len(packed)
        if slash and not length.isdecimal():
            raise ValueError(f"not a prefix: {text!r}")
        prefix = cls(packed, int(length) if slash else bits)
        if prefix.length > bits or int.from_bytes(packed) & ((1 << bits - prefix.length) - 1):
            raise ValueError(f"not a prefix: {text!r} (length beyond {bits}, or bits set behind it)")
        return prefix

    @classmethod
    def host(cls, address: str | bytes) -> Prefix:
        """Return the /32 or /128 of one address, given as text or packed."""
        packed = pack(address) if isinstance(address, str) else address
        return cls(packed, 8 * len(packed))

    @classmethod
    def of(cls, address: str) -> Prefix:
        """Return the network in which `address/length` lies: host bits are cleared, as in `192.0.2.1/24`."""
        text, _, length = address.partition("/")
        packed = pack(text)
        bits = 8 * len(packed)
        length_bits = int(length) if length else bits
        if not 0 <= length_bits <= bits:
            raise ValueError(f"not a prefix: {address!r}")
        number = int.from_bytes(packed) >> (bits - length_bits) << (bits - length_bits)
        return cls(number.to_bytes(len(packed)), length_bits)

    @property
    def bits(self) -> int:
        """How many bits an address of this family has: 32 or 128."""
        return 8 * len(self.packed)

    @property
    def family(self) -> Family:
        return family_of_address(self.packed)

    @property
    def is_host(self) -> bool:
        return self.length == self.bits

    @property
    def address(self) -> str:
        """The network address as text, without the length."""
        return unpack(self.packed)

    def contains(self, other: Prefix) -> bool:
        """True if `other` lies within this prefix, or is it. Families never mix."""
        beyond = self.bits - self.length
        return (
            len(self.packed) == len(other.packed)
            and self.length <= other.length
            and int.from_bytes(self.packed) >> beyond == int.from_bytes(other.packed) >> beyond
        )

    def overlaps(self, other: Prefix) -> bool:
        return self.contains(other) or other.contains(self)

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


def pack(address: str) -> bytes:
    """Return the 4 or 16 bytes of an address. Raises ValueError: it is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except OSError:
        raise ValueError(f"not an IP address: {address!r}") from None


def unpack(packed: bytes) -> str:
    """Return the text of a packed address, in its canonical form."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
