"""Records that a real Calico wrote, read and written back unchanged, whatever their kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from datastore.errors import Invalid
from datastore.kinds.ipam import IPAMConfig
from datastore.record import Resource
from datastore.resources import KINDS, kind_named, read
from tests.datastore.odd_records import odd_records, odd_texts

CALICO = Path(__file__).parent.parent / "fixtures" / "calico"


def read_records() -> Iterator[Any]:
    """Every record of a kind we know in the files that Calico, or its command line, wrote."""
    for path in sorted(CALICO.glob("**/*.yaml")):
        text = path.read_text()
        for document in [] if "--- exit" in text else yaml.safe_load_all(text):
            listed = document.get("kind", "").endswith("List")
            for record in document["items"] if listed else [document]:
                kind = record.get("kind") or document["kind"].removesuffix("List")
                if kind != "Pod":
                    yield pytest.param(kind, record, id=f"{path.parent.name}/{path.stem}-{record['metadata']['name']}")


RECORDS = list(read_records())


@pytest.mark.parametrize(("kind", "record"), RECORDS)
def test_a_record_of_calico_is_written_back_unchanged(kind: str, record: dict[str, Any]) -> None:
    resource = kind_named(kind).read(record)
    assert resource.to_json() == record
    again = type(resource).read_text(resource.to_text())
    assert again == resource
    assert again.to_json() == record


@pytest.mark.parametrize(("kind", "record"), RECORDS)
def test_a_record_of_calico_has_no_unknown_field(kind: str, record: dict[str, Any]) -> None:
    assert kind_named(kind).read(record).unknown_fields() == []


def test_every_kind_of_the_records_is_known() -> None:
    assert {kind_named(parameters.values[0]) for parameters in RECORDS} <= set(KINDS.values())


def test_the_other_name_of_a_kind_is_kept_as_written() -> None:
    record = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPAMConfiguration",
        "metadata": {"name": "default"},
        "spec": {"strictAffinity": False, "autoAllocateBlocks": True},
    }
    config = read(record)
    assert isinstance(config, IPAMConfig)
    assert config.to_json() == record


REFUSED = [
    (lambda: read({"kind": "IPPoool", "metadata": {"name": "p"}}), 'kind "IPPoool" is not known'),
    (lambda: read({"metadata": {"name": "p"}}), "it has no kind"),
    (lambda: read(["IPPool"]), "not a mapping but list"),
    (lambda: read({"kind": "IPPool", "metadata": [], "spec": 3}), "metadata is not a mapping; spec is not a mapping"),
    (lambda: read({"kind": "IPPool", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16"}}),
     'apiVersion "v1" is not known'),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(odd_texts())
def test_any_text_is_a_resource_of_a_kind_or_invalid(text: str) -> None:
    for kind in KINDS.values():
        try:
            resource = kind.read_text(text)
        except Invalid:
            continue
        assert kind.read_text(resource.to_text()) == resource


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(odd_records())
def test_any_record_is_a_resource_or_invalid_and_its_properties_can_be_asked_for(record: dict[str, Any]) -> None:
    try:
        resource = read(record)
    except Invalid:
        return
    assert read(resource.to_json()) == resource
    for owner in type(resource).__mro__:
        for name, attribute in vars(owner).items():
            if isinstance(attribute, property) and owner.__module__.startswith("datastore."):
                getattr(resource, name)
