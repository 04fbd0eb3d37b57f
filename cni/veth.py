"""The pod's device, addresses and routes: what an ADD makes in the kernel, and a DEL takes away.

The host's end bears a label (IFLA_IFALIAS) that names its attachment and, where endpoints are pods, the pod. So a DEL
or GC finds its device without the datastore, and leaves that of a newer container alone, whose pod and therefore whose
device has the same name. Routes on the host are not made here: they are the agent's.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
from contextlib import closing
from pathlib import Path
from typing import Final

from cni.attachment import LONGEST_LABEL_BYTES, Attachment
from cni.pod_devices import LABEL, OwnedLink, VethPair
from cni.pod_network import ANYWHERE, HOST_MAC, OPTIONAL_SYSCTLS, FoundNetwork, PodNetwork, differences, ip_commands
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netlink import KernelError
from kernel.netns import CLONE_NEWNET, inside, is_current, kind_of
from kernel.sysctl import PROC_SYS, read_sysctls, write_sysctls

log = logging.getLogger("cni.veth")

RETIRED_GROUP: Final = 0x46454C
"""The group of devices that DELs put aside; no other program uses the number."""

HOST: Final = "is the node's own network namespace"


def netns_error(netns: int) -> str | None:
    """Return why this descriptor is not a pod's network namespace, or None if it is."""
    kind = kind_of(netns)
    if kind != CLONE_NEWNET:
        return "is not a namespace" if kind is None else "is a namespace, but not of networks"
    return HOST if is_current(netns) else None


class Veth:
    """Pods' devices (cni.pod_devices) as veths of the network namespace that this was made in.

    sysctls: where they can be written.
    """

    def __init__(self, sysctls: Path = PROC_SYS) -> None:
        self._host, self._sysctls = Devices(), sysctls
        self._made: dict[str, OwnedLink] = {}
        """The last device of each name that this made and has not put aside: a DEL need not look for it.

        Its index is no other device's, if it is gone by now.
        """

    def close(self) -> None:
        self._host.close()

    async def make(self, network: PodNetwork, netns: int, pod_uid: str = "") -> VethPair:
        # The second is for a container that still holds the other end of what was put aside a moment ago.
        remedies = iter((self._clear, self._delete_retired_now))
        while True:
            try:
                return self._make(network, netns, pod_uid)
            except KernelError as refused:
                if refused.errno != errno.EEXIST:
                    raise
                remedy = next(remedies, None)
                if remedy is None:
                    device = network.attachment.device
                    sentence = f"create {network.host_name}: a device {device} exists in the container already"
                    raise KernelError(sentence, errno.EEXIST) from refused
            await remedy(network)

    def _make(self, network: PodNetwork, netns: int, pod_uid: str) -> VethPair:
        device = network.attachment.device
        label = _label(network.attachment, pod_uid)
        mac = network.mac or any_mac()
        host = self._host.create_veth(network.host_name, netns, device, HOST_MAC, network.mtu, mac)
        try:
            rest = self._host.label(host, label, network.host_sysctls)
            write_sysctls(rest, optional=OPTIONAL_SYSCTLS, root=self._sysctls)
            with inside(netns):
                write_sysctls(network.pod_sysctls, root=self._sysctls)
                with closing(Devices()) as pod:
                    end, namespace = _configure(pod, network, _other_end(host, device, mac)), pod.namespace
        except BaseException:
            self._put_aside(host)
            raise
        owned = OwnedLink(host.index, host.name, network.attachment, host.peer, pod_uid, namespace)
        self._made[host.name] = owned
        if log.isEnabledFor(logging.INFO):
            log.info("%s", "; ".join(ip_commands(network, label)))
        return _pair(host, end)

    async def _clear(self, network: PodNetwork) -> None:
        present = self._host.link(network.host_name)
        if present is None:
            return
        owned = owned_link(present)
        if owned is not None and owned.attachment == network.attachment:
            # Its other end is in the container, under the name that is about to be made.
            await asyncio.to_thread(self._delete, present.index)
        else:
            self._put_aside(present)

    async def _delete_retired_now(self, network: PodNetwork) -> None:
        del network
        await asyncio.to_thread(self.delete_retired)

    def owned_by(self, attachment: Attachment, name: str) -> OwnedLink | None:
        made = self._made.get(name)
        if made is not None and made.attachment == attachment:
            return made
        link = self._host.link(name)
        usual = owned_link(link) if link else None
        if usual and usual.attachment == attachment:
            return usual
        return next((one for one in self.owned() if one.attachment == attachment), None)

    def holder(self, name: str) -> Attachment | None:
        link = self._host.link(name)
        owned = owned_link(link) if link else None
        return owned.attachment if owned else None

    def owned(self) -> list[OwnedLink]:
        return [owned for link in self._host.links().values() if (owned := owned_link(link))]

    def retire(self, owned: OwnedLink) -> None:
        self._host.retire(owned.index, RETIRED_GROUP)
        self._forget(owned)
        log.info("ip link set %s down group %d", owned.name, RETIRED_GROUP)

    def free_name(self, owned: OwnedLink, netns: int) -> None:
        device, name = owned.attachment.device, _retired_name(owned.index, owned.attachment.container_id)
        with inside(netns), closing(Devices()) as pod:
            if not (owned.peer and owned.namespace and owned.namespace == pod.namespace):
                end = pod.link(device)
                if end is None or (end.index, end.peer) != (owned.peer, owned.index):
                    return
            # Down: while it is up its default route takes what the container sends by another device.
            pod.retire(owned.peer, RETIRED_GROUP, name)
            log.info("ip -n POD link set %s down; ip -n POD link set %s name %s", device, device, name)

    async def delete(self, owned: OwnedLink) -> None:
        await asyncio.to_thread(self._delete, owned.index)
        self._forget(owned)
        log.info("ip link del %s", owned.name)

    def retire_unlabelled(self, name: str) -> bool:
        link = self._host.link(name)
        if link is None or link.alias:
            return False
        self._put_aside(link)
        return True

    def delete_retired(self) -> None:
        with closing(Devices()) as devices:
            devices.delete_group(RETIRED_GROUP)

    def inspect(self, network: PodNetwork, netns: int) -> tuple[VethPair | None, list[str]]:
        name, device = network.host_name, network.attachment.device
        host = self._in_use(name)
        if host is None:
            return None, [f"there is no device {name} on the host"]
        owned = owned_link(host)
        if owned is not None and owned.attachment != network.attachment:
            return None, [f"{name} leads to {owned.attachment.device} of container {owned.attachment.container_id}"]
        with inside(netns), closing(Devices()) as pod:
            end = pod.link(device)
            if end is None:
                return None, [f"there is no device {device} in the container"]
            addresses, routes = pod.addresses(end.index), pod.routes()
            neighbours = {one.address for one in pod.neighbours(end.index) if one.permanent and one.mac == HOST_MAC}
            leads_out = {address.packed: _leads_out(pod, address.packed) for address in network.addresses}
            pod_sysctls = read_sysctls(network.pod_sysctls)
        found = FoundNetwork(
            host=host,
            pod=end,
            addresses=addresses,
            routes=routes,
            neighbours=neighbours,
            leads_out=leads_out,
            host_sysctls=read_sysctls(network.host_sysctls),
            pod_sysctls=pod_sysctls,
            host_routes=[self._host.route_to(address.packed) for address in network.addresses],
        )
        return _pair(host, end), differences(network, found)

    def _forget(self, owned: OwnedLink) -> None:
        if (made := self._made.get(owned.name)) is not None and made.index == owned.index:
            del self._made[owned.name]

    def _in_use(self, name: str) -> Link | None:
        """Return the device with this name that no DEL has put aside."""
        link = self._host.link(name)
        return None if link is None or link.group == RETIRED_GROUP else link

    def _put_aside(self, link: Link) -> None:
        """Retire a device whose name is needed."""
        self._host.retire(link.index, RETIRED_GROUP, _retired_name(link.index, link.alias))

    def _delete(self, index: int) -> None:
        with closing(Devices()) as devices:  # a thread must not use the loop's socket
            devices.delete(index)


def _leads_out(pod: Devices, address: bytes) -> bool:
    """Whether any routing rule and table gives packets from a pod's address a way to the world."""
    try:
        pod.lookup(ANYWHERE[len(address)], address)
    except KernelError:
        return False
    return True


def any_mac() -> bytes:
    """Return a MAC as the kernel would choose it: of one device, locally administered, else random."""
    first, *others = os.urandom(6)
    return bytes((first & 0xFC | 0x02, *others))


def _other_end(host: Link, device: str, mac: bytes) -> Link | None:
    """Return the container's end as it was made; None: kernels before 5.1 say no index of it that is the host's too."""
    return Link(host.peer, device, False, False, host.mtu, mac, peer=host.index) if host.peer else None


def _configure(pod: Devices, network: PodNetwork, made: Link | None) -> Link:
    """Give the container's end all that it is to have, from inside its namespace. made: as far as that is known."""
    device = network.attachment.device
    end = made or pod.link(device)
    if end is None:
        raise KernelError(f"configure {device} in the container: there is no such device", errno.ENODEV)
    return pod.configure_interface(
        end,
        addresses=network.prefixes,
        neighbours=[(gateway, HOST_MAC) for gateway in network.neighbours],
        routes=network.route_specs(end.index),
    )


def _pair(host: Link, end: Link) -> VethPair:
    return VethPair(host.index, host.mac.hex(":"), end.mac.hex(":"), end.mtu)


def _label(attachment: Attachment, pod_uid: str) -> str:
    """Return the label of a device; without the pod's UID where names that long leave it no room."""
    label = " ".join((LABEL, *attachment))
    longer = f"{label} {pod_uid}"
    return longer if pod_uid and len(longer.encode()) <= LONGEST_LABEL_BYTES else label


def owned_link(link: Link) -> OwnedLink | None:
    """Return a device as what bears our label; None: it bears none, or is retired."""
    match link.alias.split(" "):
        case [mark, network, container_id, device, *uid] if mark == LABEL and link.group != RETIRED_GROUP:
            attachment = Attachment(network, container_id, device)
            return OwnedLink(link.index, link.name, attachment, link.peer, "".join(uid[:1]))
        case _:
            return None


def _retired_name(index: int, whose: str) -> str:
    """Return a name that no other device has: an index is given once, and its container's name goes in as well."""
    return "x" + hashlib.sha1(f"{index} {whose}".encode(), usedforsecurity=False).hexdigest()[:14]
