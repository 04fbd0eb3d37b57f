"""The invariants: silent on a sound node, and each broken thing is reported once, by the right predicate."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from felix_py.invariants import (
    INVARIANTS,
    Local,
    NodeRecords,
    Violation,
    persisting,
    violations,
)
from felix_py.routes.rib import Rib, Source
from felix_py.snapshot import Endpoint, EndpointKey
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix

BLOCK, POD = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.1.1/32")
HOLE = RouteSpec(80, kind=BLACKHOLE, metric=1030)
DEVICE = RouteSpec(80, hops=(NextHop(7),), metric=1030, scope=253)
CONTAINER = "c0ffee"


def endpoint(name: str = "web", address: str = "10.65.1.1/32", container: str = CONTAINER) -> Endpoint:
    key = EndpointKey("default", f"n1-k8s-{name}-eth0")
    return Endpoint(key, container, "cali0", (Prefix.parse(address),), pod=name)


def block(affinity: str | None = "host:n1", handle: str = f"net.{CONTAINER}", **secondary: str) -> IPAMBlock:
    spec: dict[str, Any] = {
        "cidr": "10.65.1.0/26",
        "affinity": affinity,
        "strictAffinity": False,
        "allocations": [None, 0, *[None] * 62],
        "unallocated": [0, *range(2, 64)],
        "attributes": [{"handle_id": handle, "secondary": secondary or {"pod": "web", "node": "n1"}}],
    }
    return IPAMBlock.make("10-65-1-0-26", **spec)


def affinity(node: str = "n1", state: str = "confirmed") -> BlockAffinity:
    return BlockAffinity.make(
        f"{node}-10-65-1-0-26", cidr="10.65.1.0/26", node=node, state=state, type="host", deleted="false"
    )


def rib() -> Rib:
    made = Rib()
    made.put(Source.PODS, POD, DEVICE)
    made.put(Source.BLOCKS, BLOCK, HOLE)
    return made


RECORDS = NodeRecords(endpoints=[endpoint()], blocks=[block()], affinities=[affinity()], node=Node.make("n1"))
LOCAL = Local(
    node="n1",
    rib=rib(),
    held={POD: DEVICE, BLOCK: HOLE},
    devices={"cali0": 7},
    announced=frozenset({BLOCK}),
    exportable=frozenset({BLOCK}),
)


def test_a_sound_node_violates_nothing() -> None:
    assert violations(RECORDS, LOCAL) == []
    assert len(INVARIANTS) == 8


def test_an_address_that_another_plugin_gave_is_allocated_in_no_block() -> None:
    elsewhere = replace(RECORDS, endpoints=[replace(endpoint(), given_by="host-local")], blocks=[], affinities=[])
    local = replace(LOCAL, held={POD: DEVICE}, announced=frozenset(), exportable=frozenset())
    assert [one.number for one in violations(elsewhere, local)] == [5], "of the block's route, which is gone here"
    assert 2 in [one.number for one in violations(replace(elsewhere, endpoints=[endpoint()]), local)]


def test_the_blackhole_of_what_kubernetes_gave_the_node_is_a_block_of_its() -> None:
    given = Prefix.parse("10.244.1.0/24")
    wanted = rib()
    wanted.put(Source.BLOCKS, given, HOLE)
    local = replace(LOCAL, rib=wanted, held={**LOCAL.held, given: HOLE})
    assert violations(replace(RECORDS, pod_cidrs=(given,)), local) == []
    assert [one.number for one in violations(RECORDS, local)] == [3]


def test_while_an_endpoint_cannot_be_read_what_may_be_its_is_no_violation() -> None:
    empty = Rib()
    empty.put(Source.BLOCKS, BLOCK, HOLE)
    local = replace(LOCAL, rib=empty)
    gone = replace(RECORDS, endpoints=[])
    assert {found.number for found in violations(gone, local)} == {2, 4, 5}
    assert violations(replace(gone, endpoints_known=False), local) == []


def test_the_static_route_to_a_peer_is_no_pods() -> None:
    peer, static = Prefix.parse("198.51.100.9/32"), RouteSpec(80, hops=(NextHop(2, b"\xc0\0\2\xfe"),), metric=1030)
    wanted = rib()
    held = {**LOCAL.held, peer: static}
    assert {found.number for found in violations(RECORDS, replace(LOCAL, rib=wanted, held=held))} == {4, 5}
    wanted.put(Source.STATIC, peer, static)
    assert violations(RECORDS, replace(LOCAL, rib=wanted, held=held)) == []


@pytest.mark.parametrize(
    ("numbers", "records", "local"),
    [
        ({1}, replace(RECORDS, endpoints=[endpoint(), endpoint("twin")]), LOCAL),
        ({1, 2}, replace(RECORDS, blocks=[block(handle="net.dead")]), LOCAL),
        ({2, 3}, replace(RECORDS, blocks=[]), LOCAL),
        ({2}, replace(RECORDS, blocks=[block(node="n1", type="ipipTunnelAddress")], endpoints=[endpoint()]), LOCAL),
        ({3}, replace(RECORDS, blocks=[block("host:n2")]), LOCAL),
        ({3}, replace(RECORDS, affinities=[affinity(state="pending")]), LOCAL),
        ({4, 5}, RECORDS, replace(LOCAL, held={BLOCK: HOLE})),
        ({4}, RECORDS, replace(LOCAL, devices={"cali0": 8})),
        ({5}, RECORDS, replace(LOCAL, held={POD: DEVICE})),
        ({6}, RECORDS, replace(LOCAL, announced=frozenset({BLOCK, POD}))),
        ({6}, RECORDS, replace(LOCAL, announced=frozenset())),
        ({8}, RECORDS, replace(LOCAL, foreign_touched=["a write of ours hit 10.0.0.0/8"])),
    ],
)
def test_each_broken_thing_is_reported_by_its_own_predicate(
    numbers: set[int], records: NodeRecords, local: Local
) -> None:
    assert {violation.number for violation in violations(records, local)} == numbers


def test_a_pods_address_under_a_blackhole_is_seen() -> None:
    local = replace(LOCAL, held={POD: HOLE, BLOCK: HOLE})
    assert 7 in {violation.number for violation in violations(RECORDS, local)}


def test_an_address_whose_release_is_journaled_may_be_without_an_endpoint() -> None:
    records = replace(RECORDS, endpoints=[], leaving=frozenset({f"net.{CONTAINER}"}))
    numbers = {violation.number for violation in violations(records, replace(LOCAL, held={BLOCK: HOLE}))}
    assert 2 not in numbers


def test_an_address_lent_to_another_node_needs_no_endpoint_here() -> None:
    lent = replace(RECORDS, endpoints=[], blocks=[block(handle="net.theirs", pod="web", node="n2")])
    numbers = {violation.number for violation in violations(lent, replace(LOCAL, rib=Rib(), held={}))}
    assert 2 not in numbers


def test_a_broken_block_is_checked_as_far_as_it_goes_and_ends_no_check() -> None:
    broken = block().with_spec(allocations=[5, 0, *[0] * 99], attributes=[{"handle_id": "net.dead"}])
    assert violations(replace(RECORDS, blocks=[broken]), LOCAL)
    assert violations(replace(RECORDS, blocks=[block().with_spec(allocations=[5, 0], attributes=[])]), LOCAL)


def test_what_cannot_be_checked_is_a_violation_and_the_others_are_checked() -> None:
    unread = affinity().with_spec(cidr="10.65.1.0/255.255.255.192")
    found = violations(replace(RECORDS, affinities=[unread]), replace(LOCAL, held={BLOCK: HOLE}))
    assert {violation.number for violation in found} == {3, 4, 5}


def test_only_what_persists_counts() -> None:
    passing, lasting = Violation(4, "passing"), Violation(2, "lasting")
    assert persisting([passing, lasting], [lasting]) == [lasting]


def test_a_pod_whose_route_was_not_looked_at_may_have_it() -> None:
    local = replace(LOCAL, held={BLOCK: HOLE}, looked_at=frozenset())
    assert violations(RECORDS, local) == []
    assert {one.number for one in violations(RECORDS, replace(local, looked_at={POD}))} == {4, 5}


def test_of_what_was_not_looked_at_nothing_is_said_unless_it_is_held_and_wrong() -> None:
    elsewhere = Prefix.parse("10.65.2.0/26")
    learned = RouteSpec(81, hops=(NextHop(2),), metric=1030)
    wanted = rib()
    wanted.put(Source.LEARNED, elsewhere, learned)
    local = replace(LOCAL, rib=wanted)
    lacks = [Violation(5, f"route {elsewhere}: the kernel lacks it")]
    assert violations(RECORDS, local) == lacks
    assert violations(RECORDS, replace(local, looked_at={elsewhere})) == lacks
    assert violations(RECORDS, replace(local, looked_at={POD, BLOCK})) == []
    other = {**LOCAL.held, elsewhere: HOLE}
    assert {one.number for one in violations(RECORDS, replace(local, held=other, looked_at={POD, BLOCK}))} == {3, 5}
