"""How full pools and blocks are, who has an address, and who borrows: the tables of `ipam show`.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from datastore.fields import Address
from datastore.kinds.ipam import IPAMBlock, IPAMConfig
from datastore.kinds.pools import IPPool
from datastore.pool_rules import overlap
from felixctl.tables import bordered
from ipam.block import Allocation, allocations
from ipam.names import WINDOWS_HANDLE, affine_host
from net.printable import one_line

HEADING = ("Grouping", "CIDR", "IPs total", "IPs in use", "IPs free")
BORROWED_HEADING = ("IP", "Borrowing-node", "Block", "Block owner", "Type", "Allocated-to")


def usage(pools: Sequence[IPPool], blocks: Sequence[IPAMBlock], *, show_blocks: bool) -> str:
    """Return a row per pool and, if asked for, one per block beneath its pool; blocks of no pool come last."""
    rows = []
    for pool in pools:
        inside = [block for block in blocks if overlap(block.network, pool.network)]
        rows.append(_row("IP Pool", str(pool.network), pool.network.num_addresses, sum(map(_in_use, inside))))
        rows += _block_rows(inside) if show_blocks else ()
    if show_blocks:
        networks = [pool.network for pool in pools]
        rows += _block_rows(b for b in blocks if not any(overlap(b.network, network) for network in networks))
    return bordered(HEADING, rows)


def _block_rows(blocks: Iterable[IPAMBlock]) -> list[tuple[str, ...]]:
    return [_row("Block", block.spec.cidr, block.network.num_addresses, _in_use(block)) for block in blocks]


def _in_use(block: IPAMBlock) -> int:
    return block.network.num_addresses - len(block.spec.unallocated)


def _row(grouping: str, cidr: str, total: int, used: int) -> tuple[str, ...]:
    return (grouping, cidr, f"{total:.5g}", _share(used, total), _share(total - used, total))


def _share(part: int, total: int) -> str:
    return f"{part:.5g} ({100 * part / total:.0f}%)"


def owner(address: Address, blocks: Iterable[IPAMBlock]) -> str:
    """Return who has an address: its handle and the attributes it was assigned with."""
    found = _allocation(address, blocks)
    if found is None:
        return f"{address} is not assigned\n"
    if found.released:
        return f"{address} is cooling down: it was released a short while ago and is not assigned yet\n"
    noted = "".join(one_line(f"  {key}: {found.attributes[key]}") + "\n" for key in sorted(found.attributes))
    return f"IP {address} is in use\nHandle ID: {one_line(found.handle or '<none>')}\nActive Owner Attributes:\n{noted}"


def _allocation(address: Address, blocks: Iterable[IPAMBlock]) -> Allocation | None:
    for block in blocks:
        if address in block.network:
            return next((found for found in allocations(block) if found.address == address), None)
    return None


def borrowed(blocks: Iterable[IPAMBlock]) -> str:
    """Return the addresses that a node has from a block of another node, or of none."""
    found = list(blocks)
    rows = [row for block in found for row in _borrowed_rows(block)]
    unknown = sum("node" not in one.attributes for block in found for one in allocations(block))
    note = f"\n{unknown} more addresses in use name no node.\n" if unknown else ""
    return bordered(BORROWED_HEADING, rows) + note


def _borrowed_rows(block: IPAMBlock) -> Iterator[tuple[str, ...]]:
    host = affine_host(block.spec.affinity)
    for one in allocations(block):
        node = one.attributes.get("node")
        if node and node != host and one.handle != WINDOWS_HANDLE:
            yield (str(one.address), node, block.spec.cidr, host or "", *_borrower(one))


def _borrower(one: Allocation) -> tuple[str, str]:
    """Return what kind of thing has the address, and its name."""
    attributes = one.attributes
    if "pod" in attributes:
        return "workload", f"{attributes.get('namespace', '')}/{attributes['pod']}"
    return attributes.get("type", ""), attributes.get("node", "")


def configuration(config: IPAMConfig | None) -> str:
    """Return the settings of all nodes; without a configuration, the defaults."""
    spec = config.spec if config else None
    rows = (
        ("StrictAffinity", _word(spec.strict_affinity if spec else False)),
        ("AutoAllocateBlocks", _word(spec.auto_allocate_blocks if spec else True)),
        ("MaxBlocksPerHost", str(spec.max_blocks_per_host if spec else 0)),
        ("KubeVirtVMAddressPersistence", spec.kubevirt_vm_address_persistence if spec else "Enabled"),
        ("IPCooldownSeconds", str(spec.ip_cooldown_seconds if spec else 0)),
    )
    return bordered(("Property", "Value"), rows)


def _word(value: bool) -> str:
    return str(value).lower()
