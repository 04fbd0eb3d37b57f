"""Records that a real Calico wrote, read and written back; and what a record may not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from datastore.resources import (
    kind_named,
)

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
def test_a_record_of_calico_has_no_field_we_would_call_a_slip(kind: str, record: dict[str, Any]) -> None:
    assert kind_named(kind).read(record).unknown_fields() == []
