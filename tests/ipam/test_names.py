"""Names, labels and texts, held against what Calico wrote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.record import is_name
from ipam import names
from tests.ipam.records import calico

AFFINITIES = calico("crs/blockaffinities.yaml")
BLOCKS = calico("crs/ipamblocks.yaml")
HANDLES = calico("crs/ipamhandles.yaml")


@pytest.mark.parametrize(
    ("cidr", "name"),
    [
        ("10.244.166.128/26", "10-244-166-128-26"),
        ("fd80:24e2:f998:72d6::/122", "fd80-24e2-f998-72d6---122"),
    ],
)
def test_a_block_is_named_by_its_cidr(cidr: str, name: str) -> None:
    assert names.cidr_name(cidr) == name


@pytest.mark.parametrize("record", BLOCKS)
def test_a_block_has_the_name_that_calico_gave_it(record: dict[str, Any]) -> None:
    assert names.cidr_name(record["spec"]["cidr"]) == record["metadata"]["name"]


@pytest.mark.parametrize("record", AFFINITIES)
def test_an_affinity_has_the_name_and_the_labels_that_calico_gave_it(record: dict[str, Any]) -> None:
    spec = record["spec"]
    assert names.affinity_name(spec["node"], spec["cidr"]) == record["metadata"]["name"]
    assert names.affinity_labels(spec["node"], 4) == record["metadata"]["labels"]


@pytest.mark.parametrize("record", HANDLES)
def test_a_handle_has_the_name_that_calico_gave_it(record: dict[str, Any]) -> None:
    assert names.handle_name(record["spec"]["handleID"]) == record["metadata"]["name"]


def test_a_handle_that_is_no_name_gets_one() -> None:
    assert is_name(names.handle_name("net.0b73:net1"))
    assert is_name(names.handle_name(f"{'n' * 250}.0b73"))
    assert names.handle_name("net.0B73") == "net.0b73"


@pytest.mark.parametrize("device", ["eth0", "net1", "Net.1"])
def test_a_handle_can_be_taken_apart(device: str) -> None:
    assert names.parse_pod_handle(names.pod_handle("k8s.pod-network", "0b73", device)) == (
        "k8s.pod-network", "0b73", device,
    )  # fmt: skip


def test_a_hosts_hash_is_base32_without_padding() -> None:
    assert names.hostname_hash("node-a") == "PY3TQE2E3XMTETLM2MJO3UITKPFB27YUJ4T4E5XGPEJON3SM4QAA"


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=1, max_size=300))
def test_the_name_of_an_affinity_always_fits(host: str) -> None:
    name = names.affinity_name(host, "10.65.84.128/26")
    assert len(name) <= 252
    assert name == f"{host}-10-65-84-128-26" or len(host) > 230


def test_long_hosts_that_differ_at_the_end_have_affinities_of_their_own() -> None:
    one, other = ("h" * 250 + end for end in "ab")
    assert names.affinity_name(one, "10.65.0.0/26") != names.affinity_name(other, "10.65.0.0/26")
    assert names.affinity_name(one, "10.65.0.0/26").startswith(
        "h" * (252 - len("10-65-0-0-26") - 13) + "-10-65-0-0-26-"
    )


def test_only_a_hosts_affinity_names_a_host() -> None:
    assert names.affine_host("host:n1") == "n1"
    assert names.affine_host("virtual:load-balancer") is None
    assert names.affine_host(None) is None


def test_a_handle_ends_at_a_carriage_return() -> None:
    assert names.written_handle("net.abc\r, rubbish") == "net.abc"
    assert names.written_handle(None) is None


def test_times_are_written_as_calico_writes_them() -> None:
    assert names.attribute_time(1767366246_100000000) == "2026-01-02 15:04:06.1 +0000 UTC"
    assert names.attribute_time(1767366245_123456789) == "2026-01-02 15:04:05.123456789 +0000 UTC"
    assert names.attribute_time(1767366245_000000000) == "2026-01-02 15:04:05 +0000 UTC"
    assert names.claim_time_ns("2026-01-02T15:04:05Z") == 1767366245_000000000


def test_a_pods_handle_is_its_network_and_container() -> None:
    assert names.pod_handle("k8s-pod-network", "0b73") == "k8s-pod-network.0b73"
    assert names.pod_handle("k8s-pod-network", "0b73", "net1") == "k8s-pod-network.0b73:net1"
    assert names.legacy_pod_handle("default", "web-0") == "default.web-0"
