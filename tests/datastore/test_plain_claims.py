"""Which nodes, pools and affinities are plainly valid: such as their reader takes, with the same in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.plain_claims import AFFINITY, NODE, POOL, plain_affinity, plain_core_node, plain_node, plain_pool
from datastore.record import Resource
from tests.datastore.odd_records import REAL, odd_texts

Read = Callable[[str], Any]
READERS: dict[type[Resource], Read] = {Node: plain_node, IPPool: plain_pool, BlockAffinity: plain_affinity}
POOLS = IPPool.make("pods", cidr="10.65.0.0/16")
CLAIM = BlockAffinity.make(
    "n1-10-65-0-0-26", labels={"a": "b"}, state="confirmed", node="n1", cidr="10.65.0.0/26", deleted="false"
)


def looked_at(found: Any) -> tuple[Any, ...]:
    """What a check looks at."""
    match found.name, type(found).__name__.removeprefix("Plain"):
        case name, "Node":
            return name, found.tunnel_addresses, found.pod_cidrs
        case name, "IPPool" | "Pool":
            return name, found.network, found.spec.cidr, found.spec.disabled
        case name, _:
            spec = found.spec
            return name, found.network, found.confirmed, found.metadata.labels, spec.node, spec.type, spec.state


def test_the_kinds_are_called_by_their_names() -> None:
    assert tuple(kind.KIND for kind in READERS) == (NODE, POOL, AFFINITY)


@pytest.mark.parametrize("kind", READERS)
def test_what_calico_wrote_is_plainly_valid(kind: type[Resource]) -> None:
    objects = [kind.read(record) for record in REAL if record["kind"] == kind.KIND]
    found = [READERS[kind](one.to_text()) for one in objects]
    assert objects and [looked_at(one) for one in found if one] == [*map(looked_at, objects)]


@given(odd_texts())
def test_what_is_taken_of_any_text_is_what_its_kinds_reader_makes_of_it(text: str) -> None:
    for kind, read in READERS.items():
        if (found := read(text)) is not None:
            assert looked_at(found) == looked_at(kind.read_text(text))


@pytest.mark.parametrize(
    "node",
    [
        Node.make("n1").with_data(IPv4IPIPTunnelAddr="10.65.0.1", IPv6VXLANTunnelAddr="fd00::1"),
        Node.make("n1").with_data(IPv4IPIPTunnelAddr="fd00::1", IPv4VXLANTunnelAddr="none"),
        Node.make("n1", bgp={"ipv4IPIPTunnelAddr": "10.65.0.1"}, ipv6VXLANTunnelAddr="fd00::1"),
        Node.make("n1", pod_cidr="10.65.0.0/24"),
        Node.make("n1", pod_cidr="10.65.0.0/24", pod_cidrs=["10.65.1.0/24", "fd00::/64"]),
    ],
)
def test_a_nodes_addresses_are_those_that_its_reader_finds(node: Node) -> None:
    found = plain_node(node.to_text())
    assert found and looked_at(found) == looked_at(node)


def test_a_node_of_an_api_servers_list_is_read_whatever_else_it_says() -> None:
    node = Node.make("n1", pod_cidr="10.65.0.0/24").with_data(IPv4IPIPTunnelAddr="10.65.0.1", IPv4Address="192.0.2.1")
    record = {key: value for key, value in node.to_json().items() if key not in ("kind", "apiVersion")}
    record["status"] = {"images": [{"names": [f"a:{number}"]} for number in range(200)]}
    found = plain_core_node(json.dumps(record).encode())
    assert found and found.tunnel_addresses and looked_at(found) == looked_at(node)


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{",
        b'{"metadata": {}}',
        b'{"metadata": {"name": "N 1"}}',
        b'{"metadata": {"name": "n1", "annotations": {"a": 1}}}',
        b'{"metadata": {"name": "n1"}, "spec": {"podCIDR": "here"}}',
        b'{"metadata": {"name": "n1"}, "spec": {"podCIDRs": [7]}}',
        b'{"metadata": {"name": "n1"}, "status": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_an_odd_node_of_an_api_servers_list_is_left_to_its_reader(text: bytes) -> None:
    assert plain_core_node(text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"cidr": "10.65.0.1/16"},
        {"cidr": "fd00::/48", "ipipMode": "Always"},
        {"cidr": "169.254.0.0/24"},
        {"ipipMode": "Always", "vxlanMode": "Always"},
        {"blockSize": 33},
        {"blockSize": 0},
        {"cidr": "10.65.0.0/28"},
        {"nodeSelector": "has("},
        {"namespaceSelector": "all()"},
        {"allowedUses": ["LoadBalancer"]},
        {"assignmentMode": "Sometimes"},
        {"disabled": None},
    ],
)
def test_a_pool_with_more_rules_is_left_to_its_reader(changes: dict[str, Any]) -> None:
    record = POOLS.to_json()
    assert plain_pool(json.dumps(record))
    record["spec"].update(changes)
    assert plain_pool(json.dumps(record)) is None


@pytest.mark.parametrize("size", range(18, 34))
def test_of_pools_with_blocks_of_any_size_only_valid_ones_are_taken(size: int) -> None:
    record = POOLS.to_json()
    record["spec"]["blockSize"] = size
    assert (plain_pool(json.dumps(record)) is not None) == (20 <= size <= 32)


@pytest.mark.parametrize(("state", "confirmed"), [("confirmed", True), ("", True), ("pending", False)])
def test_an_affinity_is_confirmed_as_its_reader_has_it(state: str, confirmed: bool) -> None:
    found = plain_affinity(CLAIM.with_spec(state=state).to_text())
    assert found and (found.confirmed, found.metadata.labels) == (confirmed, {"a": "b"})


def test_an_affinity_that_is_flagged_as_deleted_is_left_to_its_reader() -> None:
    assert plain_affinity(CLAIM.with_spec(deleted="true").to_text()) is None
