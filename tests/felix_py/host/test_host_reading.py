"""The devices of a start, read from the kernel once."""

from __future__ import annotations

import pytest

from felix_py.host.host_reading import HostReading
from kernel.netlink import KernelError
from tests.felix_py.fakes import ADDRESS, ETH0, FakeKernel


def test_whoever_asks_again_is_told_what_was_read_first() -> None:
    kernel = FakeKernel()
    reading = HostReading(kernel)
    assert reading.links() == {ETH0.index: ETH0}
    assert [*reading.addresses()] == [ADDRESS]
    kernel.devices.clear()
    kernel.device_addresses.clear()
    assert reading.links() == {ETH0.index: ETH0}
    assert [*reading.addresses()] == [ADDRESS]
    assert kernel.listings == 1


def test_a_failure_is_nothing_that_was_read() -> None:
    kernel = FakeKernel()
    kernel.link_failures.append(KernelError("read the devices: they changed"))
    reading = HostReading(kernel)
    with pytest.raises(KernelError, match="they changed"):
        reading.links()
    assert reading.links() == {ETH0.index: ETH0}
