"""A Secret as Kubernetes writes it."""

from __future__ import annotations

import traceback

import pytest

from datastore.errors import Invalid
from datastore.kinds.secret import Secret

WRITTEN = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "bgp", "namespace": "kube-system", "resourceVersion": "7"},
    "data": {"rack1": "aHVudGVyMg==", "binary": "/w==", "empty": ""},
    "type": "Opaque",
}


def test_its_values_are_bytes_by_key() -> None:
    found = Secret.read(WRITTEN)
    assert found.values == {"rack1": b"hunter2", "binary": b"\xff", "empty": b""}
    assert found.to_json() == WRITTEN


@pytest.mark.parametrize(
    "data", [{}, {"data": None}, {"data": ["a"]}, {"data": {"a": 1, "b": "not base64!", "c": "é"}}]
)
def test_what_cannot_be_decoded_is_absent(data: dict[str, object]) -> None:
    assert Secret.read({**{k: v for k, v in WRITTEN.items() if k != "data"}, **data}).values == {}


def test_it_is_shown_by_its_name() -> None:
    found = Secret.read(WRITTEN)
    assert f"{found} {found!r} {[found]}".count('Secret("kube-system/bgp", revision 7)') == 3
    assert "aHVudGVyMg==" not in f"{found} {found!r} {[found]}"


@pytest.mark.parametrize("wrong", [{"metadata": {"name": "bgp"}}, {"metadata": None}, {"kind": "Sekret"}, {"spec": 5}])
def test_the_reason_that_it_cannot_be_read_tells_nothing_of_it(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        Secret.read({**WRITTEN, **wrong})
    assert "aHVudGVyMg==" not in "".join(traceback.format_exception(refused.value))
