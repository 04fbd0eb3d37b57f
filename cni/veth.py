"""The pod's device, addresses and routes: what an ADD makes in the kernel, and a DEL takes away.

A host's end bears a label that says whose it is. So a DEL or GC finds its device without the datastore, and never
takes a newer container's for its own, whose pod and therefore whose device has the same name. Routes on the host
are not made here: they are the agent's.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from cni.protocol import Address, Attachment, Pod
from datastore.fields import address as parse_address
from kernel.link_codec import Link, link_local
from kernel.links import HOST_MAC, POD_GATEWAY, Devices, host_sysctls
from kernel.netlink import KernelError
from kernel.netns import CLONE_NEWNET, inside, is_current, kind_of
from kernel.sysctl import read_sysctls, write_sysctls
from net.prefix import Prefix, unpack

RETIRED_GROUP: Final = 0x46454C  # devices that DELs put aside; the number is ours alone
log = logging.getLogger("cni.veth")

HOST: Final = "is the node's own network namespace"
_LABEL = "felix"


@dataclass(frozen=True, slots=True)
class Shape:
    """What one attachment is to be in the kernel."""

    name: str
    """Of the host's end."""
    device: str
    """Of the container's end."""
    attachment: Attachment
    pod: Pod
    addresses: tuple[Address, ...]
    mtu: int
    mac: str = ""
    """Of the container's end; empty: the kernel chooses."""
    forwarding: bool = False

    @property
    def ipv6(self) -> bool:
        return any(address.version == 6 for address in self.addresses)


@dataclass(frozen=True, slots=True)
class Made:
    """A device pair as it reads back."""

    index: int
    host_mac: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Held:
    """A host's end that bears our label."""

    index: int
    name: str
    attachment: Attachment


def words(shape: Shape, mtu: int) -> list[str]:
    """Return what `make` does as commands that can be typed back; POD stands for the container's namespace."""
    pair = f"ip link add {shape.name} up address {HOST_MAC.hex(':')} mtu {mtu} type veth"
    sysctls = [f"{path.replace('/', '.')}={value}" for path, value in host_sysctls(shape.name, ipv6=shape.ipv6).items()]
    pod = [f"ip -n POD {line}" for address in shape.addresses for line in _pod_words(address, shape.device)]
    return [
        f"{pair} peer name {shape.device} netns POD",
        f"sysctl -w {' '.join(sysctls)}",
        f"ip -n POD link set {shape.device} up",
        *pod,
    ]


def _pod_words(address: Address, device: str) -> list[str]:
    gateway = gateway_of(address)
    onlink = [f"route add {gateway} dev {device} scope link"] if address.version == 4 else []
    return [f"address add {address} dev {device}", *onlink, f"route add default via {gateway} dev {device}"]


def gateway_of(address: Address) -> Address:
    """Return the link-local address that an address's default route leads through."""
    return parse_address(unpack(POD_GATEWAY if isinstance(address, IPv4Address) else link_local(HOST_MAC)))


def netns_error(netns: int) -> str | None:
    """Return why this descriptor is not a pod's network namespace, or None if it is."""
    kind = kind_of(netns)
    if kind != CLONE_NEWNET:
        return "is not a namespace" if kind is None else "is a namespace, but not of networks"
    return HOST if is_current(netns) else None


class Veth:
    """The veths of the network namespace that this was made in."""

    def __init__(self) -> None:
        self._host = Devices()

    def close(self) -> None:
        self._host.close()

    async def make(self, shape: Shape, netns: int) -> Made:
        """Make the pair and furnish the container's end; on failure nothing of it stays. Raises KernelError.

        A device that has the name already is an older container's, or this one's from an ADD that was killed.
        """
        # The second is for a container that still holds the other end of what was put aside a moment ago.
        remedies = iter((self._clear, self._reap_now))
        while True:
            try:
                return self._make(shape, netns)
            except KernelError as refused:
                if refused.errno != errno.EEXIST:
                    raise
                remedy = next(remedies, None)
                if remedy is None:
                    sentence = f"create {shape.name}: a device {shape.device} exists in the container already"
                    raise KernelError(sentence, errno.EEXIST) from refused
            await remedy(shape)

    def _make(self, shape: Shape, netns: int) -> Made:
        host = self._host.create_veth(shape.name, netns, shape.device, shape.mtu)
        try:
            self._host.set_alias(host.index, _label(shape.attachment))
            write_sysctls(host_sysctls(shape.name, ipv6=shape.ipv6), optional=("proxy_delay", "accept_ra"))
            with inside(netns):
                write_sysctls(_pod_sysctls(shape))
                with closing(Devices()) as pod:
                    if shape.mac and (link := pod.link(shape.device)):
                        pod.set_mac(link.index, bytes.fromhex(shape.mac.replace(":", "")))
                    end = pod.furnish(shape.device, [address.packed for address in shape.addresses])
        except BaseException:
            self._put_aside(host)
            raise
        if log.isEnabledFor(logging.INFO):
            log.info("%s", "; ".join(words(shape, end.mtu)))
        return Made(host.index, host.mac.hex(":"), end.mac.hex(":"), end.mtu)

    async def _clear(self, shape: Shape) -> None:
        present = self._host.link(shape.name)
        if present is None:
            return
        held = _held(present)
        if held is not None and held.attachment[:2] == shape.attachment[:2]:
            # Its other end is in the container, under the name that is about to be made.
            await asyncio.to_thread(self._delete, present.index)
        else:
            self._put_aside(present)

    async def _reap_now(self, shape: Shape) -> None:
        del shape
        await asyncio.to_thread(self.reap)

    def of(self, attachment: Attachment, name: str) -> Held | None:
        """Return the device of an attachment's container, which usually has this name."""
        link = self._host.link(name)
        usual = _held(link) if link else None
        if usual and usual.attachment[:2] == attachment[:2]:
            return usual
        return next((held for held in self.held() if held.attachment[:2] == attachment[:2]), None)

    def held(self) -> list[Held]:
        """Return every device that bears our label and is not put aside."""
        return [held for link in self._host.links().values() if (held := _held(link))]

    def retire(self, held: Held) -> None:
        """Take a device down and out of the way, under a name that nobody else will have."""
        name = _retired_name(held.index, held.attachment.container_id)
        self._host.retire(held.index, name, RETIRED_GROUP)
        log.info("ip link set %s down; ip link set %s name %s group %d", held.name, held.name, name, RETIRED_GROUP)

    def retire_nameless(self, name: str) -> bool:
        """Retire a device of this name that bears no label: Calico's, or of an ADD killed before it could label it."""
        link = self._host.link(name)
        if link is None or link.alias:
            return False
        self._put_aside(link)
        return True

    def reap(self) -> None:
        """Delete what was retired. It takes 15 to 35 ms, most of it waiting: for a thread."""
        with closing(Devices()) as devices:
            devices.reap(RETIRED_GROUP)

    def inspect(self, shape: Shape, netns: int) -> tuple[Made | None, list[str]]:
        """Return the pair as it is, if it is there, and every difference from `shape` in words."""
        host = self._host.link(shape.name)
        if host is None:
            return None, [f"there is no device {shape.name} on the host"]
        held = _held(host)
        if held is not None and held.attachment != shape.attachment:
            return None, [f"{shape.name} leads to {held.attachment.device} of container {held.attachment.container_id}"]
        with inside(netns), closing(Devices()) as pod:
            end = pod.link(shape.device)
            if end is None:
                return None, [f"there is no device {shape.device} in the container"]
            differences = _pod_differences(shape, pod, host, end)
            differences += _sysctl_differences(_pod_sysctls(shape), " in the container")
        differences += self._host_differences(shape, host)
        return Made(host.index, host.mac.hex(":"), end.mac.hex(":"), end.mtu), differences

    def _host_differences(self, shape: Shape, host: Link) -> list[str]:
        differences = [] if host.up else [f"{shape.name} is down"]
        if host.mac != HOST_MAC:
            differences.append(f"{shape.name} has MAC {host.mac.hex(':')} instead of {HOST_MAC.hex(':')}")
        if host.mtu != shape.mtu:
            differences.append(f"{shape.name} has MTU {host.mtu} instead of {shape.mtu}")
        wanted = host_sysctls(shape.name, ipv6=shape.ipv6)
        differences += _sysctl_differences(
            {path: value for path, value in wanted.items() if not path.endswith(("proxy_delay", "accept_ra"))}
        )
        for address in shape.addresses:
            way = self._host.route_to(address.packed)
            if way is None or way[0] != Prefix.host(address.packed) or [h.device for h in way[1].hops] != [host.index]:
                differences.append(f"the host has no route {Prefix.host(address.packed)} dev {shape.name}")
        return differences

    def _put_aside(self, link: Link) -> None:
        self._host.retire(link.index, _retired_name(link.index, link.alias), RETIRED_GROUP)

    def _delete(self, index: int) -> None:
        with closing(Devices()) as devices:  # a thread has no business with the loop's socket
            devices.delete(index)


def _label(attachment: Attachment) -> str:
    return " ".join((_LABEL, *attachment))


def _held(link: Link) -> Held | None:
    match link.alias.split(" "):
        case [mark, network, container_id, device] if mark == _LABEL and link.group != RETIRED_GROUP:
            return Held(link.index, link.name, Attachment(network, container_id, device))
        case _:
            return None


def _retired_name(index: int, whose: str) -> str:
    """Return a name that no other device has: an index is given once, and its container's name goes in as well."""
    return "x" + hashlib.sha1(f"{index} {whose}".encode(), usedforsecurity=False).hexdigest()[:14]


def _pod_sysctls(shape: Shape) -> dict[str, str]:
    """Return the sysctls of the container. A new namespace inherits IPv4 forwarding from the node, a router."""
    wanted = {"net/ipv4/ip_forward": str(int(shape.forwarding))}
    if shape.ipv6:
        wanted |= {f"net/ipv6/conf/{scope}/disable_ipv6": "0" for scope in ("all", "default", "lo")}
        wanted["net/ipv6/conf/all/forwarding"] = str(int(shape.forwarding))
    return wanted


def _sysctl_differences(wanted: dict[str, str], where: str = "") -> list[str]:
    found = read_sysctls(wanted)
    return [
        f"sysctl {path} is {found.get(path, 'absent')}{where} instead of {value}"
        for path, value in wanted.items()
        if found.get(path) != value
    ]


def _pod_differences(shape: Shape, pod: Devices, host: Link, end: Link) -> list[str]:
    differences = [] if end.up else [f"{shape.device} is down in the container"]
    if end.peer != host.index:
        differences.append(f"{shape.device} is not the other end of {shape.name}")
    if end.mtu != shape.mtu:
        differences.append(f"{shape.device} has MTU {end.mtu} instead of {shape.mtu}")
    present = {(one.address, one.length) for one in pod.addresses(end.index)}
    routes = {(prefix, path.hops) for prefix, path in pod.routes()}
    ways = {(prefix, hop.gateway, hop.device) for prefix, hops in routes for hop in hops}
    for address in shape.addresses:
        packed = address.packed
        if (packed, 8 * len(packed)) not in present:
            differences.append(f"{shape.device} has no address {Prefix.host(packed)}")
    for gateway in dict.fromkeys(map(gateway_of, shape.addresses)):
        size = len(gateway.packed)
        if (Prefix(bytes(size), 0), gateway.packed, end.index) not in ways:
            differences.append(f"the container has no default route via {gateway} dev {shape.device}")
        if size == 4 and (Prefix.host(gateway.packed), b"", end.index) not in ways:
            differences.append(f"the container has no route {gateway} dev {shape.device}")
    return differences
