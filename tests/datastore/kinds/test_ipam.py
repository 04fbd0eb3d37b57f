"""The kinds of IPAM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datastore.errors import Invalid
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.record import Resource

REFUSED = [
    (lambda: IPAMConfig.make("default", strict_affinity=False, auto_allocate_blocks=False), "needs strictAffinity"),
    (
        lambda: BlockAffinity.make("a", state="confirmed", node="n", cidr="10.0.0.0/26", deleted=False),
        "spec.deleted false is not 'true' or 'false'",
    ),
    (lambda: BlockAffinity.make("a", state="confirmed", node="n", cidr="10.0.0.0/26"), "spec.deleted is required"),
    (
        lambda: IPAMBlock.make(
            "b", cidr="10.0.0.0/30", allocations=[None], unallocated=[], attributes=[], strict_affinity=False
        ),
        "allocations has 1 slots, and 10.0.0.0/30 4 addresses",
    ),
    (lambda: IPAMHandle.make("h", handle_id="h", block=[]), "spec.block []"),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_an_invalid_record_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"strictAffinity": False, "autoAllocateBlocks": False}, "autoAllocateBlocks false needs strictAffinity true"),
        (
            {"strictAffinity": True, "kubeVirtVMAddressPersistence": "Always"},
            'spec.kubeVirtVMAddressPersistence "Always" is not one of Enabled, Disabled',
        ),
    ],
)
def test_a_configuration_with_a_fault_is_obeyed_in_the_rest(spec: dict[str, Any], fault: str) -> None:
    """As kubectl or a later version of Calico stores it: without any of it nothing could be assigned."""
    read = IPAMConfig.read({"metadata": {"name": "default"}, "spec": spec})
    assert read.fault == fault
    assert read.spec.strict_affinity == spec["strictAffinity"]
    with pytest.raises(Invalid, match=fault):
        IPAMConfig.make("default", **spec)


def test_what_an_ipam_configuration_leaves_out_is_as_in_calico() -> None:
    spec = IPAMConfig.make("default", max_blocks_per_host=4).spec
    assert (spec.strict_affinity, spec.auto_allocate_blocks, spec.max_blocks_per_host) == (False, True, 4)
