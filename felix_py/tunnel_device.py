"""This node's end of the IPIP tunnel: the kernel's tunl0, and the address that IPAM keeps for it.

An edge: it is told whether a pool wants tunnels, and makes device, address and the note on the Node say so. VXLAN
gets an edge like this one, with a device of its own and the neighbours of `felix_py/tunnels.py`.

The kernel's tunl0 unpacks whatever protocol 4 brings, from anybody who can reach this node. To take packets from known
nodes only needs a packet filter (nftables: `ip protocol 4 ip saddr != @nodes drop`); its place is `_bring_up`,
before the device is up.
"""

from __future__ import annotations

import errno
import logging

from datastore.errors import DatastoreError
from felix_py.tunnels import IPIP_DEVICE
from ipam.errors import IpamError
from ipam.tunnels import TunnelAddresses
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netlink import KernelError

log = logging.getLogger("felix.tunnel")

_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOENT, errno.ENODEV)


class TunnelEnd:
    """The device and its address. `problem` is the sentence for why it is not as wanted, or empty."""

    def __init__(self, addresses: TunnelAddresses, devices: Devices) -> None:
        self._addresses, self._devices = addresses, devices
        self.problem = ""
        self.address: str | None = None

    async def settle(self, mtu: int) -> bool:
        """Make the device as wanted: up with this MTU and the one address, or, with MTU 0, without any.

        The device stands before its address is noted on the Node: other nodes take the note for "send". A device that
        no pool wants any more stays up, emptied: others may still send for a moment. Return False if it has to be
        tried again, with `problem` set.
        """
        problem = ""
        try:
            link = self._bring_up(mtu) if mtu else self._devices.link(IPIP_DEVICE)
            given = (await self._addresses.update(("ipip",))).get("ipip")
            self.address = str(given) if given else None
            if link is not None:
                self._keep_only(link.index, given.packed if given else None)
        except (KernelError, IpamError, DatastoreError) as error:
            problem = f"bring up {IPIP_DEVICE}: {error}"
        if problem and problem != self.problem:
            log.error("%s; packets to other nodes go without a tunnel, where the network between carries them", problem)
        self.problem = problem
        return not problem

    def _bring_up(self, mtu: int) -> Link:
        link = self._devices.link(IPIP_DEVICE) or self._load()
        if link.mtu != mtu:
            log.info("ip link set %s mtu %d", IPIP_DEVICE, mtu)
            self._devices.set_mtu(link.index, mtu)
        if not link.up:
            log.info("ip link set %s up", IPIP_DEVICE)
            self._devices.set_up(link.index)
        return link

    def _load(self) -> Link:
        """Have the kernel load its module, with which the device appears. Raises KernelError."""
        try:
            self._devices.create(IPIP_DEVICE, "ipip")
        except KernelError as refused:
            if refused.errno in _UNSUPPORTED:
                raise KernelError("this kernel has no IPIP: load the module ipip, or use another kernel") from None
            if refused.errno != errno.EEXIST:
                raise
        link = self._devices.link(IPIP_DEVICE)
        if link is None:
            raise KernelError("the module is loaded, but the device is not there", errno.ENODEV)
        return link

    def _keep_only(self, index: int, wanted: bytes | None) -> None:
        """Make `wanted` the device's one IPv4 address, the new one first."""
        found = [a for a in self._devices.addresses(index) if len(a.address) == 4]
        if wanted and (wanted, 32) not in {(a.address, a.length) for a in found}:
            log.info("ip address add %s/32 dev %s", self.address, IPIP_DEVICE)
            self._devices.add_address(index, wanted, 32)
        for other in found:
            if (other.address, other.length) != (wanted, 32):
                log.info("ip address del %s dev %s", ".".join(map(str, other.address)), IPIP_DEVICE)
                self._devices.remove_address(index, other.address, other.length)
