"""Where a host searches for addresses."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from datastore.kinds.pools import IPPool
from ipam import block as blocks
from ipam import search
from ipam.errors import BadPool, NoPools
from ipam.reserved import Reserved
from net.address_range import lies_in
from tests.ipam.world import config, pool

NOW = 10**18


FREE = Reserved()


PODS = pool("pods", "10.65.0.0/24")


def chosen(*pools: IPPool, version: int = 4, **how: Any) -> list[str]:
    return [found.name for found in search.pools_for(pools, version, **{"node": "n1", "node_labels": {}, **how})]


def test_pools_are_tried_by_name() -> None:
    assert chosen(pool("b", "10.1.0.0/24"), pool("a", "10.2.0.0/24"), pool("six", "fd00::/64")) == ["a", "b"]


def test_a_pool_must_select_node_and_namespace() -> None:
    rack = pool("rack", "10.1.0.0/24", node_selector='rack == "a"')
    blue = pool("blue", "10.2.0.0/24", namespace_selector='colour == "blue"', allowed_uses=["Workload"])
    assert chosen(rack, blue, PODS) == ["pods"]
    assert chosen(rack, PODS, node_labels={"rack": "a"}) == ["pods", "rack"]
    assert chosen(blue, PODS, namespace_labels={"colour": "blue"}) == ["blue", "pods"]


def test_where_the_namespace_is_what_no_pool_selects_the_sentence_says_so() -> None:
    blue = pool("blue", "10.2.0.0/24", namespace_selector='colour == "blue"', allowed_uses=["Workload"])
    rack = pool("rack", "10.1.0.0/24", node_selector='rack == "a"')
    with pytest.raises(NoPools, match="by its namespaceSelector none of blue selects the pod's namespace"):
        chosen(blue, rack, namespace_labels={"colour": "red"})
    with pytest.raises(NoPools, match="none is enabled and selects it"):
        chosen(rack, namespace_labels={"colour": "red"})
    with pytest.raises(NoPools, match="none is enabled and selects it"):
        chosen(blue, use="Tunnel")


def test_a_pool_with_a_fault_is_passed_over_and_named_where_there_is_no_other() -> None:
    faulty = PODS.with_spec(node_selector="has(rack")
    assert chosen(faulty, pool("other", "10.1.0.0/24")) == ["other"]
    with pytest.raises(
        NoPools, match=r"add or enable an IPPool; pods is not used: spec\.nodeSelector selector 'has\(rack'"
    ):
        chosen(faulty)


def test_requesting_a_pool_overrides_selectors_and_mode_but_not_disabled() -> None:
    other = pool("other", "10.1.0.0/24", node_selector='rack == "a"', assignment_mode="Manual")
    off = pool("off", "10.2.0.0/24", disabled=True)
    assert chosen(other, PODS) == ["pods"]
    assert chosen(other, PODS, requested=("other",)) == chosen(other, requested=("10.1.0.0/24",)) == ["other"]
    with pytest.raises(BadPool, match="off"):
        chosen(off, PODS, requested=("off",))
    with pytest.raises(BadPool, match="IPv6"):
        chosen(PODS, requested=("pods",), version=6)


def test_without_a_pool_there_is_a_sentence_and_not_a_guess() -> None:
    with pytest.raises(NoPools, match="IPv4 on node n1"):
        chosen(pool("off", "10.2.0.0/24", disabled=True))
    with pytest.raises(NoPools, match="none of pods allows the use Tunnel"):
        chosen(pool("pods", "10.2.0.0/24", allowed_uses=["Workload"]), use="Tunnel")


def test_a_host_starts_at_its_own_place_and_goes_round_once() -> None:
    tours = {host: list(search.rotation(PODS, host, FREE, NOW)) for host in ("n1", "n2", "n3")}
    everything = sorted(map(str, ip_network("10.65.0.0/24").subnets(new_prefix=26)))
    assert all(sorted(map(str, tour)) == everything for tour in tours.values())
    wide = pool("wide", "10.0.0.0/8")
    assert len({next(search.rotation(wide, f"node-{n}", FREE, NOW)) for n in range(100)}) > 95
    assert next(search.rotation(wide, "n1", FREE, NOW)) == next(search.rotation(wide, "n1", FREE, NOW + 1))


def test_blocks_of_one_address_are_spread_by_time() -> None:
    single = pool("single", "10.0.0.0/16", block_size=32)
    assert len({next(search.rotation(single, "n1", FREE, NOW + n)) for n in range(50)}) > 45


def test_the_seed_is_fnv_1() -> None:
    assert search.fnv1_32(b"") == 0x811C9DC5
    assert search.fnv1_32(b"a") == 0x050C5D7E
    assert search.fnv1_32(b"foobar") == 0x31F0B262


def test_a_huge_reservation_is_one_step_of_the_search() -> None:
    six = pool("six", "fd00::/48")
    reserved = Reserved.of([ip_network("fd00::/49"), ip_network("fd00:0:0:8000::/50")], 6)
    first = next(search.rotation(six, "n1", reserved, NOW))
    assert lies_in(first, ip_network("fd00:0:0:c000::/50"))


def test_the_search_prefers_unclaimed_blocks_to_empty_old_ones() -> None:
    tour = list(search.rotation(PODS, "n1", FREE, NOW))
    claimed = [blocks.new_block(cidr, "n2", NOW) for cidr in tour]
    assert search.find_block([PODS], claimed[:2], "n1", FREE, NOW).claim == tour[2]
    full, _ = blocks.assign(claimed[0], 64, "h", {})
    used, _ = blocks.assign(claimed[1], 1, "h", {})
    later = NOW + 61 * 10**9
    found = search.find_block([PODS], [full, used, *claimed[2:]], "n1", FREE, later)
    assert found.claim is None
    assert [block.network for block in found.take_over] == tour[2:]
    assert search.find_block([PODS], claimed, "n1", FREE, NOW + 59 * 10**9).take_over == ()
    undated = [block.with_spec(affinity_claim_time=None) for block in claimed]
    assert len(search.find_block([PODS], undated, "n1", FREE, NOW).take_over) == 4


def test_an_own_block_with_free_addresses_is_found_again() -> None:
    tour = list(search.rotation(PODS, "n1", FREE, NOW))
    known = [blocks.new_block(cidr, "n2", NOW) for cidr in tour[:3]] + [blocks.new_block(tour[3], "n1", NOW)]
    assert search.find_block([PODS], known, "n1", FREE, NOW).claim == tour[3]


def test_a_load_balancers_block_is_never_taken_over() -> None:
    tour = list(search.rotation(PODS, "n1", FREE, NOW))
    known = [blocks.new_block(cidr, "n2", 0).with_spec(affinity="virtual:load-balancer") for cidr in tour]
    assert search.find_block([PODS], known, "n1", FREE, NOW) == search.Candidates()


def test_a_block_is_not_claimed_where_one_of_another_size_has_the_same_addresses() -> None:
    tour = list(search.rotation(PODS, "n1", FREE, NOW))
    narrower = blocks.new_block(ip_network(f"{tour[0].network_address}/28"), "n2", NOW)
    assert search.find_block([PODS], [narrower], "n1", FREE, NOW).claim == tour[1]
    assert search.next_unclaimed([PODS], "n1", FREE, NOW, {narrower.network}) == tour[1]
    wider = blocks.new_block(ip_network("10.65.0.0/24"), "n2", NOW)
    assert search.find_block([PODS], [wider], "n1", FREE, NOW) == search.Candidates()
    assert search.next_unclaimed([PODS], "n1", FREE, NOW, {wider.network}) is None


def test_borrowing_walks_existing_blocks_in_the_hosts_order() -> None:
    tour = list(search.rotation(PODS, "n1", FREE, NOW))
    known = [blocks.new_block(cidr, "n2", NOW) for cidr in sorted(tour, key=str)]
    assert [block.network for block in search.existing_blocks([PODS], known, "n1", NOW)] == tour


def test_a_host_may_own_20_blocks_unless_the_cluster_says_otherwise() -> None:
    assert search.block_limit(None) == search.block_limit(config()) == 20
    assert search.block_limit(config(strict_affinity=True, max_blocks_per_host=3)) == 3
