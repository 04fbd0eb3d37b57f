"""What the records alone say of an end."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from datastore.names import IPAM
from explain.address import about_end
from explain.ends import ends_of
from explain.records import Assigned, ClusterRecords, PodRecord
from explain.step import Step, StepState
from tests.explain.cluster import RECORDS, A, block


def steps(records: ClusterRecords, asked: str) -> list[Step]:
    end, _ = ends_of(records, asked, "192.0.2.2")
    return list(about_end(records, end))


def test_an_address_that_another_plugin_gave_is_in_no_block() -> None:
    pods = tuple(replace(pod, annotations={IPAM: "host-local"}) if A in pod.addresses else pod for pod in RECORDS.pods)
    [step] = steps(replace(RECORDS, pods=pods, blocks=()), "a")
    assert (step.state, step.text) == (StepState.OK, f"{A} on n1, given by host-local")


def triples(found: Iterable[Step]) -> list[tuple[str, StepState, str]]:
    return [(step.about, step.state, step.text) for step in found]


def test_a_pods_address_has_its_block_and_pool() -> None:
    assert triples(steps(RECORDS, "a")) == [
        ("endpoint", StepState.OK, "10.65.1.1 on n1, block 10.65.1.0/26 of n1, pool pods")
    ]


def test_an_address_of_another_nodes_block_is_borrowed() -> None:
    pods = (replace(RECORDS.pods[0], node="n2"), *RECORDS.pods[1:])
    assert "borrowed from block 10.65.1.0/26 of n1" in steps(replace(RECORDS, pods=pods), "a")[0].text


def test_a_block_without_a_node_as_after_its_pool_was_deleted_is_no_nodes() -> None:
    blocks = (replace(RECORDS.blocks[0], owner=None, confirmed=False), *RECORDS.blocks[1:])
    [step] = steps(replace(RECORDS, blocks=blocks), "a")
    assert (step.state, step.text) == (
        StepState.OK,
        "10.65.1.1 on n1, of block 10.65.1.0/26 that no node has, pool pods",
    )


def test_a_block_that_is_not_confirmed_is_a_doubt() -> None:
    blocks = (replace(RECORDS.blocks[0], confirmed=False), *RECORDS.blocks[1:])
    first, second = steps(replace(RECORDS, blocks=blocks), "a")
    assert (first.about, first.state, second.state) == ("block", StepState.DOUBTFUL, StepState.OK)


def test_an_address_with_two_owners_is_broken_and_names_both() -> None:
    records = replace(RECORDS, pods=(*RECORDS.pods, PodRecord("red", "twin", "n2", "cali9", (A,))))
    (first, *_) = steps(records, "a")
    assert first.state is StepState.BROKEN
    assert first.text == "address 10.65.1.1 has two owners: default/a and red/twin"


def test_an_address_that_no_block_assigns_is_a_doubt() -> None:
    (step,) = steps(replace(RECORDS, blocks=(block(1, {}),)), "a")
    assert step.state is StepState.DOUBTFUL
    assert "is not assigned in any block" in step.text


def test_a_leaked_address_is_named_with_its_handle_and_the_command_that_repairs_it() -> None:
    (step,) = steps(RECORDS, "10.65.2.7")
    assert (step.about, step.state) == ("address", StepState.BROKEN)
    assert "leaked: it is assigned to pod default/gone (handle h3)" in step.text
    assert step.repair and step.repair.line == "felixctl ipam check --fix"


def test_a_tunnels_address_is_as_it_should_be() -> None:
    records = replace(RECORDS, blocks=(block(1, {"10.65.1.2": Assigned("t", tunnel_of="n1")}),))
    assert triples(steps(records, "10.65.1.2")) == [("endpoint", StepState.OK, "the address of node n1's tunnel")]


def test_addresses_that_no_pod_has_are_told_apart() -> None:
    texts = [steps(RECORDS, asked)[0].text for asked in ("10.65.2.9", "10.65.9.9", "198.51.100.1")]
    assert texts == [
        "address 10.65.2.9 of block 10.65.2.0/26 of n2 is not assigned",
        "address 10.65.9.9 of pool pods lies in no block: no node has claimed it",
        "198.51.100.1 is outside of every pool and no node's",
    ]


def test_a_disabled_pool_is_a_doubt_for_a_pod_with_an_address_and_a_break_for_one_without() -> None:
    records = replace(RECORDS, pools=(replace(RECORDS.pools[0], disabled=True),))
    assert [step.state for step in steps(records, "a")] == [StepState.OK, StepState.DOUBTFUL]
    (without,) = steps(records, "new")
    assert (without.where, without.about, without.state) == ("new", "pool", StepState.BROKEN)
    assert "every pool is disabled (pods)" in without.text


def test_an_unknown_pod_is_broken_and_the_known_ones_are_named() -> None:
    (step,) = steps(RECORDS, "new")
    assert step.state is StepState.BROKEN
    assert step.effect.endswith("there are default/a, default/b")
