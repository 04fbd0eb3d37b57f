"""What `ipam check` calls a problem."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import IPAM
from datastore.summaries import AnyEndpoint
from felixctl.ipam.check_report import report
from felixctl.ipam.problems import problems
from felixctl.ipam.records import IpamRecords
from ipam.matching import Matching
from tests.felixctl.ipam.cluster import BLOCKS, CLUSTER, ENDPOINTS


def test_an_assigned_address_that_is_not_in_use_is_a_problem() -> None:
    lacking = replace(CLUSTER, endpoints=[e for e in ENDPOINTS if e.spec.pod != "db-1"])
    [sentence] = problems(lacking).unused
    assert sentence.startswith("10.65.77.7 is assigned to k8s-pod-network.6815")


def test_an_address_in_use_that_ipam_could_assign_again_is_a_problem() -> None:
    lacking = replace(CLUSTER, blocks=BLOCKS[1:], affinities=[a for a in CLUSTER.affinities if a.spec.node != "node-2"])
    found = problems(lacking)
    assert len(found.unassigned) == 3
    assert len(found.idle_handles) == 3
    assert "Check complete; found 6 problems." in report(lacking, found)


def test_an_address_that_another_plugin_gave_is_none() -> None:
    given = [one.with_metadata(annotations={**one.annotations, IPAM: "host-local"}) for one in ENDPOINTS]
    for elsewhere in (
        replace(CLUSTER, blocks=[], handles=[], affinities=[], endpoints=given),
        replace(CLUSTER, blocks=[], handles=[], affinities=[], endpoints=given, pools=[]),
    ):
        found = problems(elsewhere)
        assert not [one for one in (*found.unassigned, *found.outside) if "default/" in one]


def test_the_address_of_a_tunnel_beside_such_pods_is_none() -> None:
    node = Node.make("n1", podCIDRs=["10.65.4.0/24"]).with_data(IPv4IPIPTunnelAddr="10.65.4.1")
    alone = replace(CLUSTER, blocks=[], handles=[], affinities=[], endpoints=[], nodes=[node])
    assert problems(alone).unassigned == ()
    assert len(problems(replace(alone, nodes=[node.with_spec(pod_cidrs=None)])).unassigned) == 1


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


def test_two_blocks_of_one_network_are_told_apart_by_name() -> None:
    twin = BLOCKS[1].with_metadata(name="copy")
    for blocks in ([*BLOCKS, twin], [twin, *BLOCKS]):
        assert problems(replace(CLUSTER, blocks=blocks)).broken_blocks == (
            "block 10.65.77.0/26 (copy): it lies in block 10.65.77.0/26 (10-65-77-0-26),"
            " so both may assign one address",
        )


def test_the_order_of_problems_does_not_follow_the_reading() -> None:
    second = ENDPOINTS[0].with_metadata(name=f"{ENDPOINTS[0].name}-x").with_spec(ip_networks=("198.51.100.1/32",))
    third = ENDPOINTS[0].with_metadata(name=f"{ENDPOINTS[0].name}-y").with_spec(ip_networks=("198.51.100.0/32",))
    one, other = (
        problems(replace(CLUSTER, endpoints=[*ENDPOINTS, *twins])) for twins in ((second, third), (third, second))
    )
    assert [sentence.split()[0] for sentence in one.outside] == ["198.51.100.1", "198.51.100.0"]
    assert one.outside == other.outside


def test_a_problem_that_a_second_check_does_not_find_is_dropped() -> None:
    lacking = problems(replace(CLUSTER, endpoints=[]))
    assert lacking.count
    assert lacking.persisting(problems(CLUSTER)).count == 0
    assert lacking.persisting(lacking) == lacking


def test_a_cluster_with_many_problems_is_looked_through_a_few_times_and_not_once_for_each() -> None:
    looks = 0

    class Watched(list[AnyEndpoint]):
        def __iter__(self) -> Iterator[AnyEndpoint]:
            nonlocal looks
            looks += 1
            return super().__iter__()

    def looks_for(blocks: int) -> int:
        nonlocal looks
        looks = 0
        many = [BLOCKS[1].with_spec(cidr=f"10.70.{number}.0/26") for number in range(blocks)]
        assert len(problems(replace(CLUSTER, blocks=many, endpoints=Watched(ENDPOINTS))).unused) >= blocks
        return looks

    assert looks_for(50) == looks_for(1)


class Unmatched(IpamRecords, frozen=True):
    """The same records, looked at as if no address were plainly in order."""

    @property
    def matching(self) -> Matching:
        return Matching((), self.allocations, self.endpoint_of)


CHANGES = ("none", "gone", "node", "namespace", "address", "no address")


def changed(endpoint: WorkloadEndpoint, change: str) -> Iterator[WorkloadEndpoint]:
    if change == "node":
        yield endpoint.with_spec(node="node-2")
    elif change == "namespace":
        yield endpoint.with_metadata(namespace="other")
    elif change == "address":
        yield endpoint.with_spec(ip_networks=ENDPOINTS[0].spec.ip_networks)
    elif change == "no address":
        yield endpoint.with_spec(ip_networks=())
    elif change == "none":
        yield endpoint


@given(st.lists(st.sampled_from(CHANGES), min_size=len(ENDPOINTS), max_size=len(ENDPOINTS)), st.sets(st.integers(0, 3)))
@example(["none"] * len(ENDPOINTS), set())
def test_addresses_that_are_plainly_in_order_need_no_second_look(changes: list[str], left_out: set[int]) -> None:
    endpoints = [one for before, how in zip(ENDPOINTS, changes, strict=True) for one in changed(before, how)]
    blocks = [block for number, block in enumerate(BLOCKS) if number not in left_out]
    records = replace(CLUSTER, endpoints=endpoints, blocks=blocks)
    every = Unmatched(blocks, CLUSTER.pools, CLUSTER.nodes, endpoints, CLUSTER.handles, CLUSTER.affinities)
    assert problems(records) == problems(every)
    assert report(records, problems(records)) == report(every, problems(every))
