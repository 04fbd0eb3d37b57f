"""A Lease as Kubernetes writes it."""

from __future__ import annotations

import pytest

from datastore.errors import Invalid
from datastore.kinds.lease import Lease

WRITTEN = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "felix-py-controller", "namespace": "kube-system", "annotations": {"a": "b"}},
    "spec": {
        "acquireTime": "2026-01-02T15:04:05.000006Z",
        "holderIdentity": "pod-a_1",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 3,
        "renewTime": "2026-01-02T15:05:05.000006Z",
        "strategy": "OldestEmulationVersion",
    },
}


def test_a_lease_is_written_back_as_it_was_read() -> None:
    found = Lease.read(WRITTEN)
    assert found.to_json() == WRITTEN
    assert (found.spec.holder, found.spec.duration_seconds, found.spec.transitions) == ("pod-a_1", 15, 3)


def test_a_lease_that_nobody_has_taken_yet_says_nothing() -> None:
    found = Lease.read({**WRITTEN, "spec": {}})
    assert (found.spec.holder, found.spec.duration_seconds, found.spec.renew_time) == (None, None, None)


def test_a_lease_has_a_namespace() -> None:
    with pytest.raises(Invalid, match=r"metadata\.namespace is required"):
        Lease.read({**WRITTEN, "metadata": {"name": "a"}})
