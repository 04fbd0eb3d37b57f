"""What is kept of blocks, handles, endpoints and the cluster: what their own reader would have, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from datastore.errors import Invalid
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import ENCAPSULATED, NETWORK
from datastore.store import Summary
from datastore.summaries import BLOCKS, CLUSTERS, ENDPOINTS, HANDLES, EndpointRow, endpoint_row, single_address
from ipam.block import allocations, faults, is_empty
from tests.datastore.odd_records import REAL, odd_texts

SUMMARIES: tuple[Summary[Any, Any], ...] = (BLOCKS, HANDLES, ENDPOINTS, CLUSTERS)
HANDLE = IPAMHandle.make("net.c1", handle_id="net.C1", block={"10.65.0.0/26": 1}, deleted=False)
CLUSTER = ClusterInformation.make("default", calico_version="v3.32.1", cluster_type="k8s,bgp", datastore_ready=True)
ENDPOINT = WorkloadEndpoint.make(
    "n1-k8s-a-eth0",
    "red",
    annotations={NETWORK: "other"},
    node="n1",
    pod="a",
    container_id="c1",
    ip_networks=["10.65.0.1/32", "fd00::1/128"],
    interface_name="cali1",
)


@pytest.mark.parametrize("summary", SUMMARIES, ids=lambda summary: summary.kind.KIND)
def test_what_calico_wrote_is_read_without_the_kinds_reader(summary: Summary[Any, Any]) -> None:
    kind = summary.kind
    objects = [kind.read(record) for record in REAL if record["kind"] == kind.KIND]
    objects += [one for one in (HANDLE, ENDPOINT, CLUSTER) if isinstance(one, kind)]
    assert objects and [summary.read(one.to_text()) for one in objects] == [summary.of(one) for one in objects]


@given(odd_texts())
def test_what_is_kept_of_any_text_is_what_the_kinds_reader_makes_of_it(text: str) -> None:
    for summary in SUMMARIES:
        if (kept := summary.read(text)) is not None:
            assert kept == summary.of(summary.kind.read_text(text))


def row_of(endpoint: WorkloadEndpoint) -> EndpointRow:
    spec = endpoint.spec
    place = endpoint.namespace or "", spec.pod or "", endpoint.name
    return EndpointRow(*place, spec.node, ",".join(spec.ip_networks), spec.interface_name or "")


def test_what_a_table_shows_of_what_calico_wrote_is_read_without_the_kinds_reader() -> None:
    endpoints = [WorkloadEndpoint.read(record) for record in REAL if record["kind"] == "WorkloadEndpoint"]
    endpoints.append(ENDPOINT)
    assert [endpoint_row(one.to_text()) for one in endpoints] == [*map(row_of, endpoints)]


@given(odd_texts())
def test_what_a_table_shows_of_any_text_is_what_the_kinds_reader_makes_of_it(text: str) -> None:
    if (row := endpoint_row(text)) is not None:
        assert row == row_of(WorkloadEndpoint.read_text(text))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ipNetworks", ["10.65.0.0/24"]),
        ("ipNetworks", ["10.65.0.1/255.255.255.255"]),
        ("ipNetworks", ["fe80::1%eth0"]),
        ("allowedSourcePrefixes", ["10.65.0.0/33"]),
        ("mac", 3),
        ("node", None),
    ],
)
def test_an_endpoint_with_anything_wrong_in_it_is_left_to_its_reader(field: str, value: object) -> None:
    record = ENDPOINT.to_json()
    record["spec"][field] = value
    text = json.dumps(record)
    with pytest.raises(Invalid):
        WorkloadEndpoint.read_text(text)
    assert ENDPOINTS.read(text) is None and endpoint_row(text) is None


def test_a_block_without_a_slot_for_each_address_is_left_to_its_reader() -> None:
    block = next(IPAMBlock.read(record) for record in REAL if record["kind"] == "IPAMBlock")
    short = block.with_spec(allocations=block.spec.allocations[1:])
    assert BLOCKS.read(block.to_text()) == BLOCKS.of(block)
    assert BLOCKS.read(short.to_text()) is None


@pytest.mark.parametrize("damage", [{}, {"unallocated": ()}, {"attributes": ()}])
def test_what_is_said_of_a_block_is_said_of_its_summary(damage: dict[str, Any]) -> None:
    for record in REAL:
        if record["kind"] == "IPAMBlock":
            block = IPAMBlock.read(record).with_spec(**damage)
            summary = BLOCKS.of(block)
            assert [*allocations(summary)] == [*allocations(block)]
            assert (faults(summary), is_empty(summary)) == (faults(block), is_empty(block))


def test_what_is_flagged_as_deleted_or_keeps_annotations_in_an_annotation_is_left_to_its_reader() -> None:
    assert HANDLES.read(HANDLE.with_spec(deleted=True).to_text()) is None
    hidden = ENDPOINT.with_metadata(annotations={ENCAPSULATED: '{"annotations": {}}'})
    assert ENDPOINTS.read(hidden.to_text()) is None


def test_a_summary_has_the_names_of_the_objects_own_attributes() -> None:
    handle, endpoint = HANDLES.of(HANDLE), ENDPOINTS.of(ENDPOINT)
    assert (handle.namespace, handle.spec.block) == (HANDLE.namespace, HANDLE.spec.block)
    assert (endpoint.addresses, endpoint.annotations) == (ENDPOINT.addresses, ENDPOINT.annotations)
    assert endpoint.spec.container_id == ENDPOINT.spec.container_id
    assert [str(single_address(text)) for text in ENDPOINT.spec.ip_networks] == ["10.65.0.1", "fd00::1"]
