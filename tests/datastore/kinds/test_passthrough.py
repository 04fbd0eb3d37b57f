"""Kinds that are only stored: written back as they were read, whatever they hold."""

from __future__ import annotations

import pytest

from datastore.errors import Invalid
from datastore.kinds.passthrough import PASSTHROUGH


@pytest.mark.parametrize("name", PASSTHROUGH)
def test_an_object_is_written_back_as_it_was_read(name: str) -> None:
    kind = PASSTHROUGH[name]
    metadata = {"name": "a", "namespace": "ns"} if kind.NAMESPACED else {"name": "a"}
    record = {"kind": name, "metadata": metadata, "spec": {"order": 1.5, "ingress": [{"action": "Allow"}]}}
    read = kind.read(record)
    assert read.to_json() == record
    assert type(read).__name__ == name and read.unknown_fields() == []


def test_a_policy_of_a_namespace_needs_one() -> None:
    with pytest.raises(Invalid, match=r"metadata\.namespace is required"):
        PASSTHROUGH["NetworkPolicy"].make("p")
    assert PASSTHROUGH["GlobalNetworkPolicy"].make("p").namespace is None
