"""A ConfigMap as Kubernetes writes it."""

from __future__ import annotations

import pytest

from datastore.errors import Invalid
from datastore.kinds.config_map import ConfigMap

WRITTEN = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
    "data": {"ClusterConfiguration": "kind: ClusterConfiguration\n"},
}


def test_a_config_map_is_written_back_as_it_was_read() -> None:
    found = ConfigMap.read(WRITTEN)
    assert found.to_json() == WRITTEN
    assert found.data == {"ClusterConfiguration": "kind: ClusterConfiguration\n"}


def test_a_config_map_without_texts_has_none() -> None:
    for data in ({}, {"data": None}, {"data": ["a"]}, {"data": {"a": 1}}):
        assert ConfigMap.read({**{k: v for k, v in WRITTEN.items() if k != "data"}, **data}).data == {}


def test_a_config_map_has_a_namespace() -> None:
    with pytest.raises(Invalid, match=r"metadata\.namespace is required"):
        ConfigMap.read({**WRITTEN, "metadata": {"name": "a"}})
