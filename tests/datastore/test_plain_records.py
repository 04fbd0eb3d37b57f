"""Which records are plainly valid: such as their kind's own reader takes, and writes back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from datastore.kinds.passthrough import PASSTHROUGH
from datastore.plain_records import SHAPES, plain_record
from datastore.record import Metadata, Resource
from datastore.resources import KINDS
from tests.datastore.odd_records import EMPTY, REAL, odd_texts


def aliases(model: type[Any]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("kind_name", SHAPES)
def test_a_shape_has_every_field_that_its_kind_declares(kind_name: str) -> None:
    kind, shape = KINDS[kind_name], SHAPES[kind_name]
    fields = kind.SPEC.model_fields
    assert shape.spec.keys() == aliases(kind.SPEC)
    assert set(shape.required) == {field.alias or name for name, field in fields.items() if field.is_required()}
    assert (set(shape.api_versions), shape.namespaced) == (set(kind.API_VERSIONS), kind.NAMESPACED)


def test_kinds_that_are_stored_for_others_have_a_shape() -> None:
    assert SHAPES.keys() >= PASSTHROUGH.keys()


def read_again(text: str, kind: type[Resource]) -> Any:
    return kind.read_text(text).to_json()


@pytest.mark.parametrize("record", [one for one in REAL if one["kind"] in SHAPES], ids=lambda one: one["kind"])
def test_what_calico_wrote_is_plainly_valid(record: dict[str, Any]) -> None:
    text = KINDS[record["kind"]].read(record).to_text()
    assert plain_record(record["kind"], text) == json.loads(text)


def test_a_number_that_no_float_can_be_is_left_to_the_kinds_reader() -> None:
    text = '{"apiVersion":"crd.projectcalico.org/v1","kind":"Tier","metadata":{"name":"a"},"spec":{"order":%s}}'
    assert plain_record("Tier", text % "1e99") is not None
    assert plain_record("Tier", text % "1e999") is None


@given(odd_texts())
def test_what_is_taken_of_any_text_is_what_its_kinds_reader_writes_back(text: str) -> None:
    for kind_name in SHAPES:
        if (record := plain_record(kind_name, text)) is not None:
            assert record == read_again(text, KINDS[kind_name])


EMPTY_RECORDS: dict[str, dict[str, Any]] = {str(record["kind"]): dict(record) for record in EMPTY}
METADATA = {"name": "odd", "namespace": "default"}


@pytest.mark.parametrize("field", sorted(aliases(Metadata)))
@pytest.mark.parametrize("value", [None, 7, ["a", 1], {"a": 1}, "No Name"])
def test_metadata_of_another_type_is_left_to_the_kinds_reader(field: str, value: object) -> None:
    taken = 0
    for kind_name in SHAPES:
        odd = EMPTY_RECORDS[kind_name] | {"metadata": {**METADATA, field: value}}
        if (found := plain_record(kind_name, json.dumps(odd))) is not None:
            assert found == read_again(json.dumps(odd), KINDS[kind_name])
            taken += 1
    assert not taken or (isinstance(value, str) and field not in ("name", "labels", "annotations", "finalizers"))


ENDPOINT = next(record for record in REAL if record["kind"] == "WorkloadEndpoint")


@pytest.mark.parametrize(
    "addresses",
    [["10.65.0.0/24"], ["10.65.0.256/32"], ["10.065.0.1/32"], ["fe80::1%eth0"], ["fd00::1/64"], "10.65.0.1/32", [""]],
)
def test_what_is_no_single_address_is_left_to_the_kinds_reader(addresses: object) -> None:
    record = {**ENDPOINT, "spec": {**ENDPOINT["spec"], "ipNetworks": addresses}}
    assert plain_record("WorkloadEndpoint", json.dumps(record)) is None


@pytest.mark.parametrize("addresses", [["10.65.0.1"], ["10.65.0.1/32", "fd00::1/128"], ["::ffff:10.0.0.1"], []])
def test_single_addresses_are_taken_as_they_are_written(addresses: list[str]) -> None:
    text = json.dumps({**ENDPOINT, "spec": {**ENDPOINT["spec"], "ipNetworks": addresses}})
    record = plain_record("WorkloadEndpoint", text)
    assert record is not None and record["spec"]["ipNetworks"] == addresses
    assert record == read_again(text, KINDS["WorkloadEndpoint"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"metadata": {"name": "a"}, "kind": "Tier"}',
        '{"metadata": {"name": "a"}, "apiVersion": "v2"}',
        '{"metadata": {"name": "a"}, "spec": null}',
        '{"metadata": {"name": "a"}, "status": NaN}',
        '{"metadata": {"name": "\\ud800"}}',
        '{"metadata": {"name": "a"}, "status": ' + "[" * 400 + "]" * 400 + "}",
        '{"metadata": {"name": "a"}, "status": ' + "9" * 5000 + "}",
        '{"spec": {}}',
    ],
)
def test_what_is_odd_in_any_other_way_is_left_to_the_kinds_reader(text: str) -> None:
    assert plain_record("Node", text) is None
    assert plain_record("Node", '{"metadata": {"name": "a"}}') == {"metadata": {"name": "a"}}


def test_of_a_kind_without_a_shape_nothing_is_plainly_valid() -> None:
    assert plain_record("IPPool", '{"metadata": {"name": "a"}, "spec": {"cidr": "10.65.0.0/16"}}') is None
