"""How an attachment is named: to IPAM, and to whoever reads a log."""

from __future__ import annotations

from cni.attachment import LONGEST_LABEL_BYTES, LONGEST_NAMES_BYTES, Attachment, PodRef, describe
from tests.cni.conftest import CONTAINER


def test_its_handle_is_calicos() -> None:
    assert Attachment("k8s-pod-network", "c4719afa76fa", "eth0").handle == "k8s-pod-network.c4719afa76fa"


def test_it_is_described_by_its_pod_and_the_container_ids_first_twelve_characters() -> None:
    told = describe(Attachment("net", CONTAINER, "eth0"), PodRef("default", "web-1"))
    assert told == f"default/web-1 (container {CONTAINER[:12]}, eth0)"


def test_a_device_of_any_bytes_can_be_described() -> None:
    told = describe(Attachment("net", "c", b"eth\xff".decode(errors="surrogateescape")), PodRef("default", "web-1"))
    told.encode()
    assert told.startswith("default/web-1 (container c, eth")


def test_names_and_our_mark_fill_a_devices_label() -> None:
    assert len("felix ") + LONGEST_NAMES_BYTES == LONGEST_LABEL_BYTES
