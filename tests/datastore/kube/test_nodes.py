from __future__ import annotations

from datastore.kinds.node import Node
from datastore.kube.nodes import changed_annotations


def node(**annotations: str) -> Node:
    return Node.make("n1", annotations=annotations).with_metadata(resource_version="7")


def test_only_changed_annotations_of_calicos_are_in_the_patch() -> None:
    before = node(**{"projectcalico.org/IPv4Address": "192.0.2.1/24", "projectcalico.org/ASNumber": "1", "other": "a"})
    after = before.with_data(IPv4Address="192.0.2.2/24", ASNumber=None).with_metadata(labels={"a": "b"})
    changes = {"projectcalico.org/IPv4Address": "192.0.2.2/24", "projectcalico.org/ASNumber": None}
    assert changed_annotations(before, after) == {"metadata": {"resourceVersion": "7", "annotations": changes}}


def test_our_own_annotations_are_written_too() -> None:
    before = node(**{"felix-py/claim": "n2", "felix-py/host": "disk-1 boot-1", "other": "a"})
    after = node(**{"felix-py/host": "disk-2 boot-2"})
    changes = {"felix-py/host": "disk-2 boot-2", "felix-py/claim": None}
    assert changed_annotations(before, after) == {"metadata": {"resourceVersion": "7", "annotations": changes}}


def test_nothing_changed_is_no_patch() -> None:
    before = node(other="a")
    assert changed_annotations(before, before) == {}
    assert changed_annotations(before, node(other="b")) == {}
