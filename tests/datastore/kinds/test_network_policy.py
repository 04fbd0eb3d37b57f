"""A NetworkPolicy as Kubernetes writes it."""

from __future__ import annotations

import pytest

from datastore.errors import Invalid
from datastore.kinds.network_policy import KubernetesNetworkPolicy

WRITTEN = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny", "namespace": "shop"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


def test_a_policy_is_written_back_as_it_was_read() -> None:
    assert KubernetesNetworkPolicy.read(WRITTEN).to_json() == WRITTEN


def test_calicos_policies_are_others() -> None:
    with pytest.raises(Invalid, match=r'apiVersion "projectcalico.org/v3" is not known'):
        KubernetesNetworkPolicy.read(WRITTEN | {"apiVersion": "projectcalico.org/v3"})
