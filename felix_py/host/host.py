"""This machine's devices, as its kernel reports them: one reading and then events, folded into one state.

Pure: no I/O, no clock, no logging. The twin of `Snapshot`, and the one owner of names, indices, addresses and MTUs of
devices. Like it, it also knows what no event can have reported yet: the device of a pod that is being attached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from felix_py.host.autodetect import EXCLUDED
from felix_py.host.pod_names import is_pods
from felix_py.topics import Topic
from kernel.events import AddressChanged, LinkChanged, RouteChanged
from kernel.link_codec import InterfaceAddress, Link
from kernel.route import LINK_SCOPE
from net.prefix import Prefix

DEFAULT_MTU = 1500
LINK_LOCAL = Prefix.parse("fe80::/64")
"""To this the kernel has a route by each device that speaks IPv6 (RFC 4862 §5.3)."""


class Host:
    """The devices of one host and their addresses.

    own: the node's addresses, packed; the devices that have them decide the host's MTU. pod_prefix: how the names of
    pods' devices begin. tunnel_devices: the names of this node's ends of tunnels.
    """

    def __init__(self, own: Collection[bytes], pod_prefix: str, tunnel_devices: Collection[str] = ()) -> None:
        self._own, self._pod_prefix, self._tunnel_devices = frozenset(own), pod_prefix, frozenset(tunnel_devices)
        self._links: dict[int, Link] = {}
        self._addresses: dict[int, set[InterfaceAddress]] = {}  # of the host's own devices
        self._pods_addresses: dict[int, set[InterfaceAddress]] = {}
        self._found: Counter[bytes] = Counter()  # on how many devices each address is
        self._carriers: frozenset[int] = frozenset()  # the host's devices that have the node's addresses
        self._names: dict[int, str] = {}
        self._up: dict[str, int] = {}
        self._pods: set[int] = set()  # indices: a pod's device stays one when DEL renames it
        self._changed: set[str] = set()
        self.mtu = DEFAULT_MTU

    @property
    def names(self) -> Mapping[int, str]:
        """The name of each device by its index; always the same mapping, kept current."""
        return self._names

    @property
    def up(self) -> Mapping[str, int]:
        """The index of each device that is up, by its name."""
        return self._up

    @property
    def addresses(self) -> list[InterfaceAddress]:
        """Every address of the host's own devices; pods' are left out."""
        return [each for found in self._addresses.values() for each in found]

    @property
    def addresses_up(self) -> set[bytes]:
        """The addresses of those of the host's own devices that are up."""
        up = set(self._up.values())
        return {each.address for each in self.addresses if each.index in up}

    def load(self, links: Iterable[Link], addresses: Iterable[InterfaceAddress]) -> Topic:
        """Take a whole reading for the truth; return what that may concern."""
        self._changed |= set(self._names.values())
        self._links = {link.index: link for link in links}
        self._pods = {index for index, link in self._links.items() if index in self._pods or self.is_pods(link)}
        self._addresses, self._pods_addresses, self._found = {}, {}, Counter()
        for address in addresses:
            self._put_address(address)
        self._names.clear()
        self._names.update((index, link.name) for index, link in self._links.items())
        self._up.clear()
        self._up.update((link.name, index) for index, link in self._links.items() if link.up)
        self._changed |= set(self._names.values())
        return Topic.PODS | Topic.TUNNEL_DEVICES | Topic.NEXT_HOPS | Topic.ADDRESSES | self._update_mtu()

    def fold(self, event: LinkChanged | AddressChanged) -> Topic:
        """Take in one event; return what it concerns."""
        match event:
            case LinkChanged(link=link, gone=gone):
                return self._fold_link(link, gone)
            case AddressChanged(address=address, gone=gone):
                return self._fold_address(address, gone)

    def attached(self, name: str, index: int) -> None:
        """Take in the device of a pod that is being attached, before its event arrives. It is up."""
        self._up[name] = index
        self._names[index] = name

    def has(self, address: bytes) -> bool:
        """Whether an address is one of this host's."""
        return address in self._found

    def owns(self, addresses: Collection[bytes]) -> Topic:
        """Take these for the node's addresses from now on; return what that concerns."""
        self._own = frozenset(addresses)
        return self._update_mtu()

    def take_changed(self) -> set[str]:
        """Return the names of the devices that changed since this was last asked."""
        taken, self._changed = self._changed, set()
        return taken

    def is_pods(self, link: Link) -> bool:
        return is_pods(link, self._pod_prefix)

    def takes_routes_along(self, event: LinkChanged) -> bool:
        """Whether a device, with this event, goes down or away that routes may lead through: one that was up.

        A device that only loses its carrier keeps them.
        """
        before = self._links.get(event.link.index)
        return event.gone if before is None else before.up and (event.gone or not event.link.up)

    def is_way(self, event: RouteChanged) -> bool:
        """Whether a route may be this host's way to others: any but what comes and goes with each pod's device."""
        devices = {hop.device for hop in event.spec.hops}
        return event.prefix != LINK_LOCAL or not devices or not devices <= self._pods

    def was_pods(self, link: Link) -> bool:
        """Whether a device is a pod's, or was before it was renamed to give way to another."""
        return link.index in self._pods or self.is_pods(link)

    def _fold_link(self, link: Link, gone: bool) -> Topic:
        before = self._links.pop(link.index, None)
        names = {link.name, before.name if before else link.name}
        up_before = {name: self._up.get(name) for name in names}
        if before is not None and self._up.get(before.name) == link.index:
            del self._up[before.name]
        if gone:
            self._names.pop(link.index, None)
            for address in tuple(self._addresses_of(link.index)):
                self._remove_address(address)
        else:
            self._links[link.index] = link
            self._names[link.index] = link.name
            if link.up:
                self._up[link.name] = link.index
        # A route depends on the index of a device that is up, on nothing else of it: most events change neither.
        changed = {name for name, index in up_before.items() if self._up.get(name) != index}
        self._changed |= changed
        pods = Topic.PODS if changed else Topic.NOTHING
        if self._is_only_pods(link, before, gone):
            return pods
        topic = pods | self._update_mtu(link.index)
        if names & self._tunnel_devices:
            topic |= Topic.TUNNEL_DEVICES
        if before is None or gone or (before.up, before.carrier) != (link.up, link.carrier):
            topic |= Topic.NEXT_HOPS
        return topic

    def _is_only_pods(self, link: Link, before: Link | None, gone: bool) -> bool:
        """Whether a device was and is a pod's. One of the host that takes a pod's name no longer carries the host."""
        known = link.index in self._pods
        if gone:
            self._pods.discard(link.index)
        elif self.is_pods(link):
            self._pods.add(link.index)
            if not known and (found := self._addresses.pop(link.index, None)):
                self._pods_addresses[link.index] = found
        return known or (before is None and self.is_pods(link))

    def _fold_address(self, address: InterfaceAddress, gone: bool) -> Topic:
        """Take in an address. With one that goes the kernel drops IPv4 routes without an event: those that send from
        it, and with the last one all of the device, a pod's too. No route sends from an IPv6 link-local address, which
        goes with each device that goes down.
        """
        if gone:
            self._remove_address(address)
        else:
            self._put_address(address)
        is_hosts, is_link_local = address.index not in self._pods, address.scope == LINK_SCOPE
        topic = Topic.NOTHING if is_link_local and not is_hosts else Topic.NEXT_HOPS  # each pod's device gets one
        if is_hosts and not is_link_local:
            topic |= Topic.ADDRESSES
        if gone and (len(address.address) == 4 or (is_hosts and not is_link_local)):
            topic |= Topic.HELD
        if self._names.get(address.index) in self._tunnel_devices:
            topic |= Topic.TUNNEL_DEVICES
        return topic | self._update_mtu() if address.address in self._own else topic

    def _addresses_of(self, index: int) -> Collection[InterfaceAddress]:
        return (self._pods_addresses if index in self._pods else self._addresses).get(index, ())

    def _put_address(self, address: InterfaceAddress) -> None:
        kept = self._pods_addresses if address.index in self._pods else self._addresses
        of_device = kept.setdefault(address.index, set())
        if address not in of_device:
            of_device.add(address)
            self._found[address.address] += 1

    def _remove_address(self, address: InterfaceAddress) -> None:
        kept = self._pods_addresses if address.index in self._pods else self._addresses
        of_device = kept.get(address.index, set())
        if address not in of_device:
            return
        of_device.discard(address)
        if not of_device:
            del kept[address.index]
        self._found[address.address] -= 1
        if not self._found[address.address]:
            del self._found[address.address]

    def _update_mtu(self, index: int | None = None) -> Topic:
        """Find out the host's MTU. index: the device that changed, if it was one: most are none that it depends on."""
        if index is not None and self._carriers and index not in self._carriers and not self._carries(index):
            return Topic.NOTHING
        self._carriers = frozenset(index for index in self._addresses if self._carries(index))
        before, self.mtu = self.mtu, self._smallest_mtu()
        return Topic.NOTHING if self.mtu == before else Topic.MTU

    def _carries(self, index: int) -> bool:
        """Whether a device of the host other than its loopback has an address of the node's."""
        link = self._links.get(index)
        own = (one.address in self._own for one in self._addresses.get(index, ()))
        return link is not None and link.name != "lo" and any(own)

    def _smallest_mtu(self) -> int:
        """Return the MTU of the devices that carry the node's addresses, the smallest.

        A node whose address is on its loopback, as routed hosts have it, sends by any other device that is up.
        """
        used = [self._links[index] for index in self._carriers] or [
            link
            for index, link in self._links.items()
            if link.up and index not in self._pods and link.name != "lo" and not EXCLUDED.fullmatch(link.name)
        ]
        return min((link.mtu for link in used), default=DEFAULT_MTU)
