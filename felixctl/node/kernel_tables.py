"""What `ip`, `ss` and `nft` list, for hosts and containers that have none of them: one line an entry, read by netlink.

An edge that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from felix_py.packet_path.kernel_facts import packet_filters
from felixctl.errors import CommandError
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.route import ip_route_text
from net.packet_filter import Chain
from net.prefix import unpack

_LISTEN: Final = "0A"  # TCP_LISTEN, as /proc/net/tcp has it

_Listing = Callable[[Devices, Mapping[int, str]], Iterator[str]]


def _links(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
    for link in here.links().values():
        state = f"{'up' if link.up else 'down'}{'' if link.carrier else ' no-carrier'}"
        peer = f" peer if{link.peer}" if link.peer else ""
        alias = f" alias {link.alias}" if link.alias else ""
        group = f" group {link.group}" if link.group else ""
        kind = link.kind or "device"
        yield f"{link.index}: {link.name} {kind} {state} mtu {link.mtu} {link.mac.hex(':')}{peer}{group}{alias}"


def _addresses(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
    for one in here.addresses():
        yield f"{unpack(one.address)}/{one.length} dev {names.get(one.index, one.index)} scope {one.scope}"


def _routes(size: int) -> _Listing:
    def listed(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
        for route in here.routes_of_all_tables(size):
            yield f"{ip_route_text(route.prefix, route.spec, names)} table {route.table}"

    return listed


def _rules(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
    for version, size in ((4, 4), (6, 16)):
        yield from (f"IPv{version} {rule}" for rule in here.rules(size))


def _neighbours(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
    for entry in here.neighbours():
        state = (
            "permanent" if entry.permanent else "failed" if entry.unanswered else "incomplete" if entry.asked else ""
        )
        device = names.get(entry.index, entry.index)
        yield f"{unpack(entry.address)} dev {device} lladdr {entry.mac.hex(':') or '?'} {state}".rstrip()


def _filters(here: Devices, names: Mapping[int, str]) -> Iterator[str]:
    """Yield the chains that filter or translate packets, those of iptables-legacy too."""
    filters = packet_filters(names, nat=True)
    for chain in filters.chains:
        yield f"{chain.tool} table {chain.table} chain {chain.name}{_attachment(chain)}"
        yield from (f"  {rule}" for rule in chain.rules)
    yield from filters.unread


def _attachment(chain: Chain) -> str:
    if chain.hook is None:
        return ""
    devices = f" devices {', '.join(chain.devices)}" if chain.devices else ""
    return f" hook {chain.hook} priority {chain.priority} policy {'drop' if chain.drops else 'accept'}{devices}"


_LISTINGS: Final[Mapping[str, _Listing]] = {
    "links": _links,
    "addresses": _addresses,
    "routes-ipv4": _routes(4),
    "routes-ipv6": _routes(16),
    "rules": _rules,
    "neighbours": _neighbours,
    "nftables": _filters,
}


def listed(table: str) -> str:
    """Return a table of the kernel's, by the name that `node diags` gives its file. Raises CommandError, OSError."""
    if table == "sockets":
        return "".join(f"{line}\n" for line in _listening(Path("/proc/net")))
    try:
        with closing(Devices()) as here:
            names = {index: link.name for index, link in here.links().items()}
            return "".join(f"{line}\n" for line in _LISTINGS[table](here, names))
    except KernelError as error:
        raise CommandError(str(error)) from None


def _listening(folder: Path) -> Iterator[str]:
    """Yield the addresses and ports on which something listens by TCP."""
    for table in (folder / "tcp", folder / "tcp6"):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():  # a kernel may lack IPv6
            _, local, _, state, *_ = line.split()
            if state == _LISTEN:
                address, _, port = local.partition(":")
                yield f"LISTEN {_address(bytes.fromhex(address))} port {int(port, 16)}"


def _address(words: bytes) -> str:
    """Return an address that the kernel printed as words of 32 bits in the byte order of this machine."""
    return unpack(b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4)))
