"""Pools and reservations."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import Invalid
from datastore.kinds.pools import (
    IPPool,
    IPReservation,
    forbidden_changes,
    misfitting_blocks,
    overlapping_pools,
)
from datastore.pool_rules import overlap
from datastore.record import Resource


def test_a_pool_says_which_nodes_and_namespaces_it_is_for() -> None:
    pool = IPPool.make(
        "p", cidr="10.0.0.0/16", node_selector="rack == 'a'", namespace_selector="has(red)", allowed_uses=["Workload"]
    )
    assert pool.selects_node({"rack": "a"}) and not pool.selects_node({})
    assert pool.selects_namespace({"red": ""}) and not pool.selects_namespace({})
    assert IPPool.make("p", cidr="10.0.0.0/16", node_selector="").selects_node({})


def test_a_pool_that_is_disabled_refused_or_being_deleted_gives_no_addresses() -> None:
    record = IPPool.make("p", cidr="10.0.0.0/16").to_json()
    refused = {**record, "status": {"conditions": [{"type": "Allocatable", "status": "False"}]}}
    assert IPPool.read(record).allocatable
    assert not IPPool.read(refused).allocatable
    assert not IPPool.make("p", cidr="10.0.0.0/16", disabled=True).allocatable
    assert not IPPool.read(record).with_metadata(deletion_timestamp="2026-11-22T20:18:32Z").allocatable


FAULTY = [
    {"nodeSelector": "has(rack"}, {"nodeSelector": "global()"}, {"namespaceSelector": "has("},
    {"namespaceSelector": "all()"}, {"allowedUses": ["LoadBalancer", "Workload"]},
    {"allowedUses": ["LoadBalancer"], "disableBGPExport": True},
    {"allowedUses": ["LoadBalancer"], "ipipMode": "Always"},
    {"allowedUses": ["LoadBalancer"], "nodeSelector": "has(rack)"}, {"blockSize": 15}, {"blockSize": 33},
]  # fmt: skip


@pytest.mark.parametrize("spec", FAULTY, ids=str)
def test_a_fault_costs_a_pool_new_addresses_and_nothing_else(spec: dict[str, Any]) -> None:
    """As kubectl stores it: pods that have addresses of it need its tunnel, its NAT and their blocks all the same."""
    with pytest.raises(Invalid):
        IPPool.make("p", cidr="10.0.0.0/16", **spec)
    written = {"metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16", "ipipMode": "CrossSubnet", **spec}}
    pool = IPPool.read(written)
    assert pool.fault and pool.enabled and not pool.allocatable
    assert pool.spec.ipip_mode != "Never" and pool.to_json() == written
    assert pool.selects_node({"rack": "a"}), "blocks are not given back for it"
    assert not pool.with_spec(node_selector=None, namespace_selector=None, allowed_uses=None, block_size=None).fault


def test_a_pool_with_a_block_size_that_none_has_counts_as_one_with_the_usual_size() -> None:
    sizes = {15: 26, 33: 26, 20: 20, 32: 32}
    pools = [IPPool.read({"metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16", "blockSize": n}}) for n in sizes]
    assert [pool.block_size for pool in pools] == list(sizes.values())


def test_a_pool_that_is_smaller_than_a_block_gives_no_addresses_and_is_known() -> None:
    small = IPPool.read({"metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/30"}})
    assert small.fault == "cidr 10.0.0.0/30 is smaller than one block of /26: set a larger blockSize or cidr"
    assert not small.allocatable


def test_each_overlapping_pool_is_named_once_with_the_widest() -> None:
    pools = [
        IPPool.make(name, cidr=cidr)
        for name, cidr in (
            ("wide", "10.0.0.0/8"), ("apart", "11.0.0.0/16"), ("inner", "10.1.0.0/16"), ("six", "fd00::/48"),
            ("innermost", "10.1.2.0/24"),
        )
    ]  # fmt: skip
    assert list(overlapping_pools(pools)) == [
        'IPPool "inner": cidr 10.1.0.0/16 overlaps 10.0.0.0/8 of IPPool "wide"',
        'IPPool "innermost": cidr 10.1.2.0/24 overlaps 10.0.0.0/8 of IPPool "wide"',
    ]


cidrs = st.builds(
    lambda number, length: str(ip_network((number >> (32 - length) << (32 - length), length))),
    st.integers(10 << 24, (10 << 24) + (1 << 14) - 1),
    st.integers(20, 26),
)


@given(st.lists(cidrs, max_size=8))
def test_the_pools_without_those_that_are_named_do_not_overlap(networks: list[str]) -> None:
    pools = {f"p{n}": IPPool.make(f"p{n}", cidr=cidr) for n, cidr in enumerate(networks)}
    named = [sentence.split('"')[1] for sentence in overlapping_pools(pools.values())]
    assert len(named) == len(set(named))
    left = [pool.network for name, pool in pools.items() if name not in named]
    assert not any(overlap(one, other) for one, other in combinations(left, 2))
    assert all(any(overlap(pools[name].network, one) for one in left) for name in named)


def test_twenty_thousand_pools_of_one_network_are_a_sentence_each() -> None:
    pools = [IPPool.make(f"p{n}", cidr="10.0.0.0/16") for n in range(20_000)]
    assert sum(1 for _ in overlapping_pools(pools)) == 19_999


@given(st.lists(cidrs, max_size=8), st.lists(cidrs, max_size=8))
def test_every_pool_over_a_block_of_another_size_is_found(networks: list[str], blocks: list[str]) -> None:
    pools = [IPPool.make(f"p{n}", cidr=cidr) for n, cidr in enumerate(networks)]
    apart = [
        block
        for n, block in enumerate(map(ip_network, blocks))
        if not any(overlap(block, ip_network(other)) for other in blocks[:n])
    ]
    expected = [
        pool.name for pool in pools if any(overlap(pool.network, b) and b.prefixlen != pool.block_size for b in apart)
    ]
    assert [sentence.split('"')[1] for sentence in misfitting_blocks(pools, apart)] == expected


def test_cidr_and_block_size_of_a_pool_cannot_change() -> None:
    old = IPPool.make("p", cidr="10.0.0.0/16")
    assert list(forbidden_changes(old, IPPool.make("p", cidr="10.0.0.0/16", block_size=26, disabled=True))) == []
    sentences = list(forbidden_changes(old, IPPool.make("p", cidr="10.1.0.0/16", block_size=28)))
    assert ["cidr can't change" in sentences[0], "blockSize can't change from 26 to 28" in sentences[1]] == [True, True]


def test_a_pool_over_blocks_of_another_size_is_objected_to() -> None:
    pool = IPPool.make("p", cidr="10.0.0.0/16", block_size=28)
    blocks = [ip_network(text) for text in ("10.0.0.0/26", "10.0.1.0/28", "10.1.0.0/26")]
    (sentence,) = misfitting_blocks([pool], blocks)
    assert "holds block 10.0.0.0/26 already, which is not a /28" in sentence


REFUSED = [
    (lambda: IPPool.make("p", cidr="10.0.0.1/16"), 'spec.cidr "10.0.0.1/16" has bits set beyond its length'),
    (lambda: IPPool.make("p", cidr="pods"), 'spec.cidr "pods" is not a CIDR'),
    (lambda: IPPool.make("p"), "spec.cidr is required"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/28"), "cidr 10.0.0.0/28 is smaller than one block of /26"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", block_size=19), "blockSize 19 is not between 20 and 32"),
    (lambda: IPPool.make("p", cidr="fd00::/64", block_size=26), "blockSize 26 is not between 116 and 128"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", ipip_mode="always"), 'spec.ipipMode "always" is not'),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", ipip_mode="Always", vxlan_mode="Always"), "exclude each other"),
    (lambda: IPPool.make("p", cidr="fd00::/64", ipip_mode="Always"), "IPv4 only"),
    (lambda: IPPool.make("p", cidr="169.254.0.0/20"), "link-local"),
    (lambda: IPPool.make("p", cidr="fe80::/64"), "link-local"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", node_selector="rack b"), "spec.nodeSelector selector 'rack b'"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", node_selector="global()"), "must not use global()"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", namespace_selector="all()"), "namespaceSelector is not allowed"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", allowed_uses=["LoadBalancer", "Tunnel"]), "can't be combined"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", natOutgoing="yes"), 'spec.natOutgoing "yes"'),
    (lambda: IPReservation.make("r", reserved_cidrs=["10.0.0.0/33"]), 'spec.reservedCIDRs[0] "10.0.0.0/33"'),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


ZERO_VALUES: list[tuple[str, Any]] = [
    ("blockSize", 0), ("blockSize", None), ("ipipMode", ""), ("vxlanMode", ""), ("assignmentMode", ""),
    ("namespaceSelector", ""), ("nodeSelector", ""), ("nodeSelector", None), ("disabled", None),
    ("natOutgoing", None), ("allowedUses", None), ("allowedUses", []),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), ZERO_VALUES)
def test_a_zero_value_is_as_good_as_absent(field: str, value: Any) -> None:
    assert IPPool.make("p", cidr="10.65.0.0/16", **{field: value}).spec == IPPool.make("p", cidr="10.65.0.0/16").spec


def test_a_reservation_with_an_entry_that_is_no_network_reserves_the_others() -> None:
    """As kubectl stores it."""
    written = {"metadata": {"name": "r"}, "spec": {"reservedCIDRs": ["10.65.0.300", "10.65.0.1", "x"]}}
    reserved = IPReservation.read(written)
    assert list(map(str, reserved.networks)) == ["10.65.0.1/32"]
    assert (
        reserved.fault.startswith('spec.reservedCIDRs[0] "10.65.0.300"') and "; spec.reservedCIDRs[2]" in reserved.fault
    )


def test_bits_beyond_the_length_of_a_reservation_are_masked() -> None:
    reserved = IPReservation.make("r", reserved_cidrs=["10.65.9.7/24", "10.65.1.1"])
    assert list(map(str, reserved.networks)) == ["10.65.9.0/24", "10.65.1.1/32"]
