"""This node's end of the IPIP tunnel: the kernel's tunl0, and the address that IPAM keeps for it.

An edge: it is given the MTU that pools want, and makes device, address and the note on the Node match. Another kind
gets an edge like this one.

The kernel's tunl0 unpacks whatever protocol 4 brings; felix_py/packet_filter/tunnel_guard.py says from whom it may
come.
"""

from __future__ import annotations

import asyncio
import errno
import logging

from datastore.backoff import Backoff
from datastore.errors import DatastoreError, NotFound
from felix_py.encap.ipip import IPIP
from ipam.errors import IpamError
from ipam.tunnels import TunnelAddresses
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netlink import KernelError

log = logging.getLogger("felix.tunnel")

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 2.0, 10.0
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV)


class KernelTunnelDevice:
    """The device and its address. `problem` is the sentence for why it is not as wanted, or empty."""

    def __init__(self, addresses: TunnelAddresses, devices: Devices, backoff: Backoff | None = None) -> None:
        """backoff: between tries of what could not be done."""
        self._addresses, self._devices = addresses, devices
        self._mtu = 0
        self._due = asyncio.Event()
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self.problem = ""
        self.address: str | None = None

    def apply(self, mtu: int) -> None:
        """State what is wanted: up with this MTU and the one address, or, with MTU 0, without any."""
        self._mtu = mtu
        self._due.set()

    async def run(self) -> None:
        """Keep the device as wanted until cancelled; what could not be done is tried again."""
        while True:
            await self._due.wait()
            self._due.clear()
            if await self.bring_in_line(self._mtu):
                self._backoff.reset()
            else:
                asyncio.get_running_loop().call_later(self._backoff.next(), self._due.set)

    async def bring_in_line(self, mtu: int) -> bool:
        """Make the device as wanted, once. Return False if it has to be tried again, with `problem` set.

        The device is up before its address is noted on the Node: other nodes take the note for "send". A device that no
        pool wants any more stays up, without an address: others may still send for a moment.
        """
        problem = ""
        try:
            link = self._bring_up(mtu) if mtu else self._devices.link(IPIP.device)
            assigned = (await self._addresses.update((IPIP.kind,))).get(IPIP.kind)
            self.address = str(assigned) if assigned else None
            if link is not None:
                self._keep_only(link.index, assigned.packed if assigned else None)
        except (KernelError, IpamError, DatastoreError) as error:
            if not mtu and isinstance(error, NotFound):  # the Node is gone: no problem of a tunnel that is not wanted
                self.problem = ""
                return False
            problem = f"{'bring up' if mtu else 'give up'} {IPIP.device}: {error}"
        if problem and problem != self.problem:
            effect = "packets to other nodes go without a tunnel, where the network between carries them"
            log.error("%s; %s", problem, effect if mtu else "no pool wants it; it is tried again")
        self.problem = problem
        return not problem

    def _bring_up(self, mtu: int) -> Link:
        link = self._devices.link(IPIP.device) or self._load()
        if link.mtu != mtu:
            log.info("ip link set %s mtu %d", IPIP.device, mtu)
            self._devices.set_mtu(link.index, mtu)
        if not link.up:
            log.info("ip link set %s up", IPIP.device)
            self._devices.set_up(link.index)
        return link

    def _load(self) -> Link:
        """Have the kernel load its module, with which the device appears. Raises KernelError."""
        try:
            self._devices.create(IPIP.device, IPIP.kind)
        except KernelError as refused:
            if refused.errno in _UNSUPPORTED:
                raise KernelError("this kernel has no IPIP: load the module ipip, or use another kernel") from None
            if refused.errno != errno.EEXIST:
                raise
        link = self._devices.link(IPIP.device)
        if link is None:
            raise KernelError("the module is loaded, but the device is not there", errno.ENODEV)
        return link

    def _keep_only(self, index: int, wanted: bytes | None) -> None:
        """Make `wanted` the device's one IPv4 address, the new one first."""
        found = [a for a in self._devices.addresses(index) if len(a.address) == 4]
        if wanted and (wanted, 32) not in {(a.address, a.length) for a in found}:
            log.info("ip address add %s/32 dev %s", self.address, IPIP.device)
            self._devices.add_address(index, wanted, 32)
        for other in found:
            if (other.address, other.length) != (wanted, 32):
                log.info("ip address del %s dev %s", ".".join(map(str, other.address)), IPIP.device)
                self._devices.remove_address(index, other.address, other.length)
