"""`ipam show` prints of the same records what calicoctl prints."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
import yaml

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from felixctl.ipam import usage
from felixctl.ipam.check_report import report
from felixctl.ipam.problems import problems
from felixctl.ipam.records import IpamRecords
from tests.felixctl.golden import TextDates, printed, records

POOLS = [IPPool.read(record) for record in records("crs/ippools.yaml")]
BLOCKS = [IPAMBlock.read(record) for record in records("crs/ipamblocks.yaml")]
ENDPOINTS = [
    WorkloadEndpoint.read(item)
    for item in yaml.load(printed("cli/after-add-workloadendpoints.yaml"), Loader=TextDates)["items"]
]
CLUSTER = IpamRecords(
    blocks=BLOCKS,
    pools=POOLS,
    nodes=[Node.read(record) for record in records("crs/nodes.yaml")],
    endpoints=ENDPOINTS,
    handles=[IPAMHandle.read(record) for record in records("crs/ipamhandles.yaml")],
    affinities=[BlockAffinity.read(record) for record in records("crs/blockaffinities.yaml")],
)


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


def test_nobody_borrows_prints_as_calicoctls() -> None:
    assert usage.borrowed(BLOCKS) == printed("ipam/show-borrowed.txt")


def test_an_address_from_anothers_block_is_borrowed() -> None:
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


@pytest.mark.parametrize(("everything", "path"), [(False, "ipam/check.txt"), (True, "ipam/check-all-ips.txt")])
def test_a_sound_cluster_checks_as_calicoctls(everything: bool, path: str) -> None:
    assert report(CLUSTER, problems(CLUSTER), all_addresses=everything) == printed(path)


def test_an_address_nobody_uses_is_a_problem() -> None:
    lacking = replace(CLUSTER, endpoints=[e for e in ENDPOINTS if e.spec.pod != "db-1"])
    [sentence] = problems(lacking).unused
    assert sentence.startswith("10.65.77.7 is assigned to k8s-pod-network.6815")


def test_an_address_in_use_that_ipam_could_give_away_is_a_problem() -> None:
    lacking = replace(CLUSTER, blocks=BLOCKS[1:], affinities=[a for a in CLUSTER.affinities if a.spec.node != "node-2"])
    found = problems(lacking)
    assert len(found.unassigned) == 3
    assert len(found.idle_handles) == 3
    assert "Check complete; found 6 problems." in report(lacking, found)


def test_an_address_outside_every_pool_is_a_problem() -> None:
    found = problems(replace(CLUSTER, blocks=[], handles=[], pools=[]))
    assert (len(found.outside), found.unassigned) == (8, ())


def test_a_missing_handle_is_a_problem() -> None:
    found = problems(replace(CLUSTER, handles=CLUSTER.handles[1:]))
    [sentence] = found.lost_handles
    assert sentence.startswith("handle ipip-tunnel-addr-node-2 of 1 addresses is missing")


def test_an_address_of_two_pods_is_a_problem() -> None:
    twin = ENDPOINTS[0].with_metadata(name="node--3-k8s-db--2-eth0")
    assert problems(replace(CLUSTER, endpoints=[*ENDPOINTS, twin])).shared == (
        "10.65.77.7 belongs to two endpoints, default/node--3-k8s-db--1-eth0 and default/node--3-k8s-db--2-eth0",
    )


def test_a_block_that_contradicts_itself_is_a_problem() -> None:
    broken = BLOCKS[1].with_spec(unallocated=BLOCKS[1].spec.unallocated[1:])
    [sentence] = problems(replace(CLUSTER, blocks=[BLOCKS[0], broken, BLOCKS[2]])).broken_blocks
    assert sentence.startswith("block 10.65.77.0/26: ")


def test_a_problem_that_a_second_look_does_not_find_is_none() -> None:
    lacking = problems(replace(CLUSTER, endpoints=[]))
    assert lacking.count
    assert lacking.persisting(problems(CLUSTER)).count == 0
    assert lacking.persisting(lacking) == lacking
