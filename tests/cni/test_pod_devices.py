"""The fake behaves towards the verbs as the veths of a kernel do (test_veth.py)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from cni.attachment import Attachment
from cni.pod_devices import FakePodDevices, PodDevices
from cni.pod_network import PodNetwork, pod_network
from kernel.netlink import KernelError

NAME = "cali0761ccbeace"


def network(container: str = "c1", mtu: int = 1440) -> PodNetwork:
    return pod_network(Attachment("net", container, "eth0"), NAME, (ip_address("10.65.0.1"),), mtu)


async def test_what_was_made_is_found_by_its_container_and_compared() -> None:
    devices: PodDevices = FakePodDevices()
    made = await devices.make(network(), 3)
    owned = devices.owned_by(network().attachment, "any")
    assert owned and (owned.index, owned.name) == (made.index, NAME)
    assert devices.owned_by(network("c2").attachment, NAME) is None
    assert devices.inspect(network(), 3) == (made, [])
    assert devices.inspect(network(mtu=1300), 3) == (made, [f"{NAME} differs"])
    devices.retire(owned)
    assert (devices.owned(), devices.inspect(network(), 3)[0]) == ([], None)


async def test_a_device_of_the_same_name_is_retired_for_the_newer_one() -> None:
    devices = FakePodDevices()
    older, newer = await devices.make(network("c1"), 3), await devices.make(network("c2"), 3)
    assert older.index != newer.index
    assert devices.retired == [NAME]
    devices.delete_retired()
    assert devices.retired == []


async def test_a_kernel_that_refuses_makes_nothing() -> None:
    devices = FakePodDevices()
    devices.failure = KernelError("create cali1: no such device", 19)
    with pytest.raises(KernelError):
        await devices.make(network(), 3)
    assert devices.owned() == []


def test_only_a_device_that_is_there_is_retired_unlabelled() -> None:
    devices = FakePodDevices()
    devices.unlabelled = {"calico"}
    assert (devices.retire_unlabelled("calico"), devices.retire_unlabelled("calico")) == (True, False)
