"""The invariants: silent on a sound cluster, and each broken thing is said once, by the right predicate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from felix_py.invariants import INVARIANTS, Cluster, Local, Violation, persisting, violations
from felix_py.rib import Rib, Source
from kernel.route import BLACKHOLE, NextHop, RouteSpec
from net.prefix import Prefix

BLOCK, POD = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.1.1/32")
HOLE = RouteSpec(80, kind=BLACKHOLE, metric=1030)
DEVICE = RouteSpec(80, hops=(NextHop(7),), metric=1030, scope=253)
CONTAINER = "c0ffee"


def endpoint(name: str = "web", address: str = "10.65.1.1/32", node: str = "n1") -> WorkloadEndpoint:
    return WorkloadEndpoint.make(
        f"{node}-k8s-{name}-eth0",
        namespace="default",
        node=node,
        orchestrator="k8s",
        pod=name,
        endpoint="eth0",
        containerID=CONTAINER,
        interfaceName="cali0",
        ipNetworks=[address],
    )


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


CLUSTER = Cluster(endpoints=[endpoint()], blocks=[block()], affinities=[affinity()], nodes=[Node.make("n1")])
LOCAL = Local(
    node="n1",
    rib=rib(),
    held={POD: DEVICE, BLOCK: HOLE},
    devices={"cali0": 7},
    announced=frozenset({BLOCK}),
    exportable=frozenset({BLOCK}),
)


def test_a_sound_cluster_violates_nothing() -> None:
    assert violations(CLUSTER, LOCAL) == []
    assert len(INVARIANTS) == 8


@pytest.mark.parametrize(
    ("numbers", "cluster", "local"),
    [
        ({1}, replace(CLUSTER, endpoints=[endpoint(), endpoint("twin", node="n2")]), LOCAL),
        ({2}, replace(CLUSTER, blocks=[block(handle="net.dead")]), LOCAL),
        ({2}, replace(CLUSTER, blocks=[block(node="n1", type="ipipTunnelAddress")], endpoints=[endpoint()]), LOCAL),
        ({3}, replace(CLUSTER, affinities=[affinity(), affinity("n2")]), LOCAL),
        ({3}, replace(CLUSTER, blocks=[block("host:n2")]), LOCAL),
        ({3}, replace(CLUSTER, affinities=[affinity(state="pending")]), LOCAL),
        ({4, 5}, CLUSTER, replace(LOCAL, held={BLOCK: HOLE})),
        ({4}, CLUSTER, replace(LOCAL, devices={"cali0": 8})),
        ({5}, CLUSTER, replace(LOCAL, held={POD: DEVICE})),
        ({6}, CLUSTER, replace(LOCAL, announced=frozenset({BLOCK, POD}))),
        ({6}, CLUSTER, replace(LOCAL, announced=frozenset())),
        ({8}, CLUSTER, replace(LOCAL, foreign_touched=["a write of ours hit 10.0.0.0/8"])),
    ],
)
def test_each_broken_thing_is_said_by_its_own_predicate(numbers: set[int], cluster: Cluster, local: Local) -> None:
    assert {violation.number for violation in violations(cluster, local)} == numbers


def test_a_pods_address_under_a_blackhole_is_seen() -> None:
    local = replace(LOCAL, held={POD: HOLE, BLOCK: HOLE})
    assert 7 in {violation.number for violation in violations(CLUSTER, local)}


def test_a_release_that_is_noted_down_is_on_its_way_out() -> None:
    cluster = replace(CLUSTER, endpoints=[], leaving=frozenset({f"net.{CONTAINER}"}))
    numbers = {violation.number for violation in violations(cluster, replace(LOCAL, held={BLOCK: HOLE}))}
    assert 2 not in numbers


def test_only_what_stands_counts() -> None:
    passing, lasting = Violation(4, "passing"), Violation(2, "lasting")
    assert persisting([passing, lasting], [lasting]) == [lasting]
