"""What every resource has in common: what is kept, what is written, what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pools import (
    IPPool,
)
from datastore.record import Resource
from datastore.resources import read
from tests.datastore.test_resources import RECORDS


def test_unknown_fields_are_kept_and_listed() -> None:
    record = {"kind": "IPPool", "metadata": {"name": "p", "x": 1}, "spec": {"cidr": "10.0.0.0/16", "blocksize": 28}}
    pool = read(record)
    assert pool.to_json() == record
    assert pool.unknown_fields() == ["spec.blocksize"]


def test_what_a_kind_says_of_itself_is_no_field_and_is_not_looked_at_again_for_each_kind() -> None:
    assert {"KIND", "SPEC", "NAMESPACED"} <= Resource.__class_vars__
    assert not Resource.__annotations__.keys() & Resource.__class_vars__
    assert IPPool.model_fields.keys() == Resource.model_fields.keys()


def test_defaults_are_returned_and_not_written() -> None:
    pool = IPPool.make("p", cidr="fd00::/64")
    assert (pool.block_size, pool.spec.node_selector, pool.spec.allowed_uses) == (122, "all()", ("Workload", "Tunnel"))
    assert pool.to_json()["spec"] == {"cidr": "fd00::/64"}
    assert BGPConfiguration.make("default").as_number == 64512


def test_make_takes_fields_by_either_name_and_no_others() -> None:
    assert IPPool.make("p", cidr="10.0.0.0/16", block_size=28) == IPPool.make("p", cidr="10.0.0.0/16", blockSize=28)
    with pytest.raises(TypeError, match="blocksize"):
        IPPool.make("p", cidr="10.0.0.0/16", blocksize=28)


def test_a_change_of_a_field_leaves_all_else_and_none_leaves_it_out() -> None:
    block = IPAMBlock.read(next(p.values[1] for p in RECORDS if p.values[0] == "IPAMBlock"))
    changed = block.with_spec(affinity=None, sequence_number=7)
    assert "affinity" not in changed.to_json()["spec"]
    assert changed.spec.affinity is None
    assert changed.with_spec(affinity=block.spec.affinity, sequence_number=block.spec.sequence_number) == block
    pool = IPPool.make("p", cidr="10.0.0.0/16", natOutgoing=True)
    assert pool.with_spec(nat_outgoing=None).spec.nat_outgoing is False


def test_a_resource_cannot_be_changed_in_place() -> None:
    pool = IPPool.make("p", cidr="10.0.0.0/16")
    with pytest.raises(ValueError, match="frozen"):
        pool.spec.disabled = True


def test_labels_in_the_annotation_of_libcalico_win_over_the_objects_own() -> None:
    inside = (
        '{"labels":{"a":"inside","b":"2"},"annotations":{"note":"kept"},"creationTimestamp":"2026-01-02T03:04:05Z"}'
    )
    pool = IPPool.read(
        {
            "metadata": {
                "name": "p",
                "labels": {"a": "own", "c": "3"},
                "annotations": {"projectcalico.org/metadata": inside},
                "creationTimestamp": "2026-11-22T20:18:32Z",
            },
            "spec": {"cidr": "10.0.0.0/16"},
        }
    )
    assert pool.labels == {"a": "inside", "b": "2", "c": "3"}
    assert pool.annotations == {"note": "kept"}
    assert pool.created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("broken", ["", "{", "[]", "null", '{"labels": 3, "annotations": null}'])
def test_an_annotation_that_cannot_be_parsed_counts_as_absent(broken: str) -> None:
    pool = IPPool.make("p", labels={"a": "b"}, annotations={"projectcalico.org/metadata": broken}, cidr="10.0.0.0/16")
    assert (pool.labels, pool.annotations, pool.created) == ({"a": "b"}, {}, None)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        IPPool.make("p", cidr="x", ipip_mode="y")
    assert str(refused.value).startswith('IPPool "p": spec.cidr "x" is not a CIDR')
    assert "; spec.ipipMode" in str(refused.value)


REFUSED = [
    (lambda: IPPool.make("Pods", cidr="10.0.0.0/16"), 'metadata.name "Pods" is not a name'),
    (lambda: IPPool.read({"kind": "Node", "metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16"}}),
     'kind "Node" is not IPPool'),
    (lambda: IPPool.read_text("{"), "its text is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"spec": {}}', '{"metadata": {}}', "[" * 100_000])
def test_a_text_that_does_not_say_its_name_is_refused_by_the_given_one(text: str) -> None:
    with pytest.raises(Invalid, match=r'^IPPool "p": '):
        IPPool.read_text(text, "p")
    with pytest.raises(Invalid, match=r'^IPPool "q": '):
        IPPool.read_text('{"metadata": {"name": "q"}}', "p")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_text_that_is_nested_too_deeply_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        IPPool.read_text(text)


@pytest.mark.parametrize("spec", [{"cidr": "\ud800"}, {"cidr": "10.65.0.0/16", "ipipMode": "\ud800"}])
def test_a_text_with_half_of_a_surrogate_pair_is_invalid(spec: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        IPPool.read({"kind": "IPPool", "metadata": {"name": "odd"}, "spec": spec})
