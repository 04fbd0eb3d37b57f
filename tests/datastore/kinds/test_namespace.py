"""A Namespace as Kubernetes writes it."""

from __future__ import annotations

import pytest

from datastore.errors import Invalid
from datastore.kinds.namespace import Namespace

WRITTEN = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": "red",
        "labels": {"kubernetes.io/metadata.name": "red"},
        "annotations": {"cni.projectcalico.org/ipv4pools": '["a"]'},
    },
    "spec": {"finalizers": ["kubernetes"]},
    "status": {"phase": "Active"},
}


def test_a_namespace_is_written_back_as_it_was_read() -> None:
    namespace = Namespace.read(WRITTEN)
    assert namespace.to_json() == WRITTEN
    assert namespace.labels == {"kubernetes.io/metadata.name": "red"}
    assert namespace.namespace is None


def test_calicos_groups_have_no_namespaces() -> None:
    with pytest.raises(Invalid, match=r'apiVersion "projectcalico.org/v3" is not known'):
        Namespace.read(WRITTEN | {"apiVersion": "projectcalico.org/v3"})
