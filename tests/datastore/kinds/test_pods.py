"""Workload endpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from datastore.errors import Invalid
from datastore.kinds.pods import WorkloadEndpoint
from datastore.record import Resource


def test_addresses_of_an_endpoint_are_read_without_their_length() -> None:
    endpoint = WorkloadEndpoint.make("w", "ns", node="n1", ip_networks=["10.0.0.7/32", "fd00::7/128"])
    assert list(map(str, endpoint.addresses)) == ["10.0.0.7", "fd00::7"]


def test_an_address_with_a_zone_index_is_refused() -> None:
    with pytest.raises(Invalid, match="zone index"):
        WorkloadEndpoint.make("n1-k8s-web-eth0", namespace="default", node="n1", ipNetworks=["fe80::1%eth0/128"])


REFUSED = [
    (lambda: WorkloadEndpoint.make("w", node="n1"), "metadata.namespace is required"),
    (lambda: WorkloadEndpoint.make("w", "ns", node="n1", ip_networks=["10.0.0.0/24"]), "is not one address"),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)
