"""The tables of `ipam show`, beside what calicoctl printed of the same records."""

from __future__ import annotations

from ipaddress import ip_address

from felixctl.ipam import usage
from tests.felixctl.golden import printed
from tests.felixctl.ipam.cluster import BLOCKS, POOLS


def test_pools_are_counted_as_calicoctl_counts() -> None:
    assert usage.usage(POOLS, BLOCKS, show_blocks=False) == printed("ipam/show.txt")
    assert usage.usage(POOLS, BLOCKS, show_blocks=True) == printed("ipam/show-blocks.txt")


def test_an_empty_cluster_prints_as_calicoctls() -> None:
    assert usage.usage(POOLS, [], show_blocks=False) == printed("ipam/empty-show.txt")
    assert usage.usage(POOLS, [], show_blocks=True) == printed("ipam/empty-show-blocks.txt")


def test_an_address_in_use_names_its_owner_as_calicoctl_does() -> None:
    assert usage.owner(ip_address("10.65.84.128"), BLOCKS) == printed("ipam/show-ip.txt")


def test_a_free_address_prints_as_calicoctls() -> None:
    assert usage.owner(ip_address("10.65.200.200"), BLOCKS) == printed("ipam/show-ip-free.txt")


def test_a_cluster_without_borrowed_addresses_prints_as_calicoctls() -> None:
    assert usage.borrowed(BLOCKS) == printed("ipam/show-borrowed.txt")


def test_an_address_from_another_nodes_block_is_borrowed() -> None:
    block = BLOCKS[1]
    lent = block.with_spec(affinity="host:node-1")
    [row] = [line for line in usage.borrowed([lent]).splitlines() if "10.65.77.7" in line]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "10.65.77.7",
        "node-3",
        "10.65.77.0/26",
        "node-1",
        "workload",
        "default/db-1",
    ]


def cells(table: str) -> list[list[str]]:
    rows = (line for line in table.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def test_configuration_has_calicos_rows() -> None:
    """The fourth differs: calicoctl prints the address of nothing there, we what holds."""
    ours, calicos = cells(usage.configuration(None)), cells(printed("ipam/show-configuration.txt"))
    assert ours[:4] == calicos[:4]
    assert calicos[4][0] == ours[4][0] == "KubeVirtVMAddressPersistence"
    assert ours[4:] == [["KubeVirtVMAddressPersistence", "Enabled"], ["IPCooldownSeconds", "0"]]


def test_blocks_of_no_pool_are_shown_without_one() -> None:
    [heading, *_] = usage.usage([], BLOCKS, show_blocks=True).splitlines()[1:2]
    assert "GROUPING" in heading
    assert usage.usage([], BLOCKS, show_blocks=True).count("| Block ") == len(BLOCKS)
