"""This machine's devices and addresses, read once for all that a start does with them. Edge.

With hundreds of pods a reading takes milliseconds. Whoever follows the kernel's events from before it was taken may
begin with it as with one of his own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

from felix_py.edges import HostDevices
from kernel.link_codec import InterfaceAddress, Link


class HostReading:
    """What there was when each was first asked for. Raises KernelError, then."""

    def __init__(self, kernel: HostDevices) -> None:
        self._kernel = kernel

    def links(self) -> Mapping[int, Link]:
        return self._links

    def addresses(self) -> Collection[InterfaceAddress]:
        return self._addresses

    @cached_property
    def _links(self) -> Mapping[int, Link]:
        return self._kernel.links()

    @cached_property
    def _addresses(self) -> Collection[InterfaceAddress]:
        return tuple(self._kernel.addresses())
