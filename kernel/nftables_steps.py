"""The steps of which rules of nftables are made: each looks at a packet and goes on or not, or ends its way.

Sans-IO. Numbers are those of linux/netfilter/nf_tables.h and nf_nat.h. What the kernel would add by itself is written
out, so that what it shows of a rule holds all that was written.
"""

from __future__ import annotations

import struct

from kernel.message import attribute
from kernel.nftables_table import AddressSet, Expression, be

_PAYLOAD_AT = {(4, "source"): 12, (4, "destination"): 16, (16, "source"): 8, (16, "destination"): 24}
_NFPROTO, _L4PROTO, _IN_NAME, _OUT_NAME = 15, 16, 6, 7
_NETWORK_HEADER, _INVERTED = 1, 1
_VERSIONS = {4: 2, 16: 10}
_DEVICE_BYTES = 16
_ADDRESS_TYPE, _OF_SOURCE, _AT_OUT_DEVICE, _LOCAL = 3, 1, 16, 2
_MAP_ADDRESS, _PORTS_GIVEN, _FULLY_RANDOM = 1, 2, 16
_DROP, _ACCEPT = 0, 1


def _load(key: int) -> Expression:
    return Expression("meta", ((2, be(key)), (1, be(1))))


def _compare(value: bytes, *, equal: bool = True) -> Expression:
    return Expression("cmp", ((1, be(1)), (2, be(0 if equal else 1)), (3, attribute(1, value))))


def is_family(size: int) -> tuple[Expression, ...]:
    """Go on with packets of a family, by the bytes of its addresses."""
    return _load(_NFPROTO), _compare(bytes((_VERSIONS[size],)))


def is_protocol(number: int) -> tuple[Expression, ...]:
    return _load(_L4PROTO), _compare(bytes((number,)))


def is_in(end: str, of: AddressSet, *, inside: bool = True) -> tuple[Expression, ...]:
    """Go on with packets whose source or destination (`end`) is in a set; with `inside` False, not in it.

    Only behind `is_family`.
    """
    place = ((1, be(1)), (2, be(_NETWORK_HEADER)), (3, be(_PAYLOAD_AT[of.size, end])), (4, be(of.size)))
    flags = () if inside else ((5, be(_INVERTED)),)
    return Expression("payload", place), Expression("lookup", ((1, of.name.encode() + b"\0"), (2, be(1)), *flags))


def comes_by(device: str) -> tuple[Expression, ...]:
    """Go on with packets that came by a device; one that ends in `*` stands for all that begin so."""
    return _load(_IN_NAME), _compare(_device(device))


def leaves_by(device: str) -> tuple[Expression, ...]:
    """Go on with packets that leave by a device; one that ends in `*` stands for all that begin so."""
    return _load(_OUT_NAME), _compare(_device(device))


def _device(name: str) -> bytes:
    begins = name.removesuffix("*").encode()
    return begins if name.endswith("*") else begins.ljust(_DEVICE_BYTES, b"\0")


def from_own_address(*, of_out_device: bool) -> tuple[Expression, ...]:
    """Go on with packets from an address of this host's; of the device that they leave by, or of none on it."""
    flags = _OF_SOURCE | (_AT_OUT_DEVICE if of_out_device else 0)
    found = Expression("fib", ((1, be(1)), (2, be(_ADDRESS_TYPE)), (3, be(flags))))
    return found, _compare(struct.pack("=I", _LOCAL), equal=not of_out_device)


def count() -> tuple[Expression, ...]:
    return (Expression("counter"),)


def drop() -> tuple[Expression, ...]:
    return _end(_DROP)


def accept() -> tuple[Expression, ...]:
    """Let packets pass this chain, and all that is attached at this hook with it; others at the hook see them still."""
    return _end(_ACCEPT)


def _end(verdict: int) -> tuple[Expression, ...]:
    return (Expression("immediate", ((1, be(0)), (2, attribute(2, attribute(1, be(verdict)))))),)


def masquerade(ports: tuple[int, int] | None = None) -> tuple[Expression, ...]:
    """Give packets an address of the device that they leave by, and a port among these."""
    flags = _FULLY_RANDOM | (_PORTS_GIVEN if ports else 0)
    given = ((2, be(2)), (3, be(3))) if ports else ()
    return *_ports(ports), Expression("masq", ((1, be(flags)), *given))


def source_nat(address: bytes, ports: tuple[int, int] | None = None) -> tuple[Expression, ...]:
    """Give packets this source address, and a port among these."""
    flags = _MAP_ADDRESS | _FULLY_RANDOM | (_PORTS_GIVEN if ports else 0)
    given = ((5, be(2)), (6, be(3))) if ports else ()
    nat = ((1, be(0)), (2, be(_VERSIONS[len(address)])), (3, be(1)), *given, (7, be(flags)))
    return _hold(1, address), *_ports(ports), Expression("nat", nat)


def _ports(ports: tuple[int, int] | None) -> tuple[Expression, ...]:
    return tuple(_hold(register, struct.pack(">H", port)) for register, port in zip((2, 3), ports or (), strict=False))


def _hold(register: int, value: bytes) -> Expression:
    return Expression("immediate", ((1, be(register)), (2, attribute(1, value))))
