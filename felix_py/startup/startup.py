"""Who am I: the node's name and addresses, and whether this node can take part.

Follows calico-node's start-up. Decisions are the plain functions below `start`; every write tolerates another
node having been quicker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Interface,
    IPv6Interface,
    ip_interface,
)

from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import AlreadyExists, BadRecord, Conflict, Unavailable
from datastore.fields import Interface
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.resources import KINDS
from datastore.store import Changed, Gone, Store
from felix_py.cluster.losses import Losses, Note, RecordKey
from felix_py.cluster.records import read_note
from felix_py.configuration.setting_types import AddressChoice, NodeAddress
from felix_py.configuration.settings import Settings, SettingsError, guid_file, node_name
from felix_py.edges import HostDevices
from felix_py.files import read_text, write_text
from felix_py.host.autodetect import HostInterface, Method, detect
from felix_py.host.pod_names import why_refused
from felix_py.identity import Addresses, Identity, StartupError
from felix_py.node.node_claim import HostMark, is_free, is_this_host, marked, this_host
from felix_py.startup.cluster_defaults import make_defaults

log = logging.getLogger("felix.startup")


async def start(settings: Settings, store: Store, host: HostDevices) -> Identity:
    """Find out who this node is, write it down, and make what a new cluster lacks.

    Raises StartupError, AutodetectionError, DatastoreError.
    """
    try:
        name = node_name(settings, read_text(settings.nodename_file), socket.gethostname())
    except SettingsError as error:
        raise StartupError(str(error)) from None
    await _require_same_cluster(settings, store)
    interfaces = host_interfaces(host)
    if refused := why_refused(interfaces, settings.interface_prefix):
        raise StartupError(refused)
    ipv4, ipv6 = await _join(settings, store, name, interfaces)
    write_text(settings.nodename_file, name)
    log.info("this is node %s with %s", name, " and ".join(str(a) for a in (ipv4, ipv6) if a))
    return Identity(
        node=name,
        addresses=Addresses(ipv4.ip.packed if ipv4 else None, ipv6.ip.packed if ipv6 else None),
        router_id=settings.router_id,
    )


async def _join(
    settings: Settings, store: Store, name: str, interfaces: Sequence[HostInterface]
) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    """Write this node's Node, and what a new cluster lacks; return the node's addresses.

    Nothing is written where nearly everything is gone: it would be in the way of what is put back.
    """
    if await _is_lost(store, read_note(settings)):
        log.error(
            "nearly everything that was known of the cluster is gone from the datastore: nothing is written to it"
        )
        return await asyncio.to_thread(addresses_for, settings, None, interfaces)
    try:
        ipv4, ipv6 = await write_node(settings, store, name, interfaces)
    except BadRecord as unread:  # pods that run must not pay for it: what the Node says is asked for later
        log.error("%s; the agent starts with this host's addresses and leaves the Node as it is", unread)
        ipv4, ipv6 = await asyncio.to_thread(addresses_for, settings, None, interfaces)
    await make_defaults(settings, store, [address for i in interfaces for address in i.addresses])
    return ipv4, ipv6


async def _is_lost(store: Store, note: Note) -> bool:
    there = set[RecordKey]()
    kinds = sorted({key.kind for key in note.written_by_people} & KINDS.keys())
    for kind, listed in zip(kinds, await asyncio.gather(*(store.list(KINDS[kind]) for kind in kinds)), strict=True):
        there.update(RecordKey(kind, one.namespace or "", one.name) for one in listed.objects)
        there.update(RecordKey(kind, one.namespace or "", one.name) for one in listed.unreadable)
    return note.is_lost(there)


async def _require_same_cluster(settings: Settings, store: Store) -> None:
    """Write nothing into a datastore that is not our cluster's. Raises Unavailable."""
    known = read_text(guid_file(settings))
    if not known:
        return
    cluster = await found_or_none(store.get(ClusterInformation, "default"))
    losses = Losses(Note(known))
    losses.add(Changed(cluster) if cluster else Gone(ClusterInformation, "default"))
    losses.take()
    if losses.held_back:
        raise Unavailable(losses.held_back)


def host_interfaces(host: HostDevices) -> list[HostInterface]:
    """Return this host's devices with their addresses, in the kernel's order."""
    links = host.links()
    addresses: dict[int, list[Interface]] = {index: [] for index in links}
    for found in host.addresses():
        of_its_kind = IPv4Interface if len(found.address) == 4 else IPv6Interface
        addresses.setdefault(found.index, []).append(of_its_kind((found.address, found.length)))
    return [HostInterface(link.name, link.up, tuple(addresses[index])) for index, link in links.items()]


async def write_node(
    settings: Settings, store: Store, name: str, interfaces: Sequence[HostInterface]
) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    """Write this node's addresses to its Node; return them. Raises StartupError: another host is that Node."""
    own = this_host(settings.state_dir)
    for _ in range(ATTEMPTS):
        stored = await found_or_none(store.get(Node, name))
        if stored is not None and not is_this_host(HostMark.of(stored), own, _is_here(stored, interfaces)):
            await _claim(store, stored, own)
            continue
        ipv4, ipv6 = await asyncio.to_thread(addresses_for, settings, stored, interfaces)
        known = {stored.ipv4, stored.ipv6} if stored else set()
        if not settings.disable_node_ip_check and {ipv4, ipv6} - known - {None}:  # what we had already is ours
            refuse_duplicates(name, (ipv4, ipv6), (await store.list(Node)).objects)
        wanted = node_annotations(settings, ipv4, ipv6, interfaces)
        with contextlib.suppress(Conflict, AlreadyExists):
            if stored is None:
                labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
                await store.create(marked(Node.make(name, labels=labels).with_data(**wanted), own))
            elif (changed := marked(stored.with_data(**wanted), own)) != stored:
                await store.update(changed)
            return ipv4, ipv6
    raise StartupError(f"write the addresses of node {name}: lost {ATTEMPTS} races in a row; is another node so named?")


def addresses_for(
    settings: Settings, stored: Node | None, interfaces: Sequence[HostInterface]
) -> tuple[IPv4Interface | None, IPv6Interface | None]:
    """Return the addresses that this node is to have. stored: its Node, as far as it is known.

    It may take long, as a host's name is looked up. Raises StartupError, AutodetectionError.
    """
    ipv4 = _address(settings.ip, settings.ip_autodetection_method, 4, stored, interfaces)
    ipv6 = _address(settings.ip6, settings.ip6_autodetection_method, 6, stored, interfaces)
    if ipv4 is None and ipv6 is None:
        raise StartupError("find the node's addresses: IP and IP6 are both none; nothing could be routed")
    assert ipv4 is None or isinstance(ipv4, IPv4Interface)
    assert ipv6 is None or isinstance(ipv6, IPv6Interface)
    return ipv4, ipv6


def _is_here(node: Node, interfaces: Iterable[HostInterface]) -> bool:
    here = {address.ip for interface in interfaces for address in interface.addresses}
    return any(address is not None and address.ip in here for address in (node.ipv4, node.ipv6))


async def _claim(store: Store, held: Node, own: HostMark) -> None:
    """Take over a Node whose host is gone. Raises StartupError: it lives."""
    try:
        free = await is_free(store, held, own, asyncio.get_running_loop().time)
    except Conflict:
        return  # it is read again, and then claimed again
    if not free:
        raise StartupError(
            f"be the node {held.name}: another host with the address {held.ipv4 or held.ipv6} is that node and lives; "
            "give each host a name of its own (NODENAME); this one takes no part"
        )


def _address(
    setting: NodeAddress, method: Method, version: int, node: Node | None, interfaces: Sequence[HostInterface]
) -> Interface | None:
    """Return the node's address of one family, None where it is to have none.

    An address without a length gets that of the device that has it, else it is a host's.
    """
    stored: Interface | None = (node.ipv4 if version == 4 else node.ipv6) if node else None
    match setting:
        case AddressChoice.NONE:
            return None
        case AddressChoice.KEEP if stored is not None:
            return stored
        case AddressChoice():
            internal = node.internal_addresses if node else ()
            return detect(method, version, interfaces, _source_towards, stored, internal, log.warning)
        case IPv4Interface() | IPv6Interface():
            return setting
        case address:
            there = (a for i in interfaces for a in i.addresses if a.ip == address)
            return next(there, ip_interface(address))


def _source_towards(version: int, destination: str) -> str | None:
    """Return the address of this IP version that the kernel would send from.

    It is asked by connecting a UDP socket, which sends nothing; the name of a host is looked up first.
    """
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def refuse_duplicates(name: str, own: Iterable[Interface | None], nodes: Iterable[Node]) -> None:
    """Raise StartupError if another node has one of our addresses."""
    for address in own:
        for node in nodes:
            theirs: tuple[Interface | None, ...] = (node.ipv4, node.ipv6)
            if address and node.name != name and address.ip in {their.ip for their in theirs if their}:
                raise StartupError(
                    f"take {address.ip} for node {name}: node {node.name} has it already; "
                    f"give one of them another address (IP=…), or delete the Node that is gone"
                )


def node_annotations(
    settings: Settings, ipv4: Interface | None, ipv6: Interface | None, interfaces: Sequence[HostInterface]
) -> dict[str, str]:
    """Return this node's annotations, named without prefix. An empty text removes one."""
    listed = [
        {"name": i.name, "addresses": [str(a.ip) for a in i.addresses if not a.is_link_local]}
        for i in interfaces
        if i.up and {ipv4, ipv6} & set(i.addresses)
    ]
    annotations = {
        "IPv4Address": str(ipv4 or ""),
        "IPv6Address": str(ipv6 or ""),
        "Interfaces": json.dumps(listed, separators=(",", ":")),
    }
    if settings.as_number is not None:
        annotations["ASNumber"] = str(settings.as_number)
    return annotations
