"""Whether this node is still who its Node says: its addresses are on this host, and its Node is there.

An edge: it looks at what the agent knows when the Node or the host's addresses change, and every few seconds while
anything is in doubt. It has the Node written anew when something is wrong for two looks, or the Node has lost an
address: that costs the node its sessions, and nobody else puts it back. What cannot be put right is in log, readiness
and status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from datastore.errors import DatastoreError
from datastore.fields import Address, Interface
from datastore.kinds.node import Node
from datastore.notices import Notice
from felix_py.agent import Agent
from felix_py.configuration.setting_types import AddressChoice, NodeAddress
from felix_py.configuration.settings import Settings
from felix_py.host.autodetect import AutodetectionError
from felix_py.identity import Addresses, StartupError
from felix_py.node.node_claim import QUESTION, HostMark, answer
from felix_py.node.own_node_changes import OwnNodeChanges, rest
from kernel.link_codec import InterfaceAddress
from kernel.netlink import KernelError
from net.prefix import unpack

log = logging.getLogger("felix.node")

FORGET_SECONDS = 600.0  # how long another host's claim is shown
LOOK_SECONDS = 2.0  # an address that is taken and put back at once, as a DHCP renewal does, is no change


class OwnNode:
    """Watches over one agent's own Node."""

    def __init__(
        self,
        agent: Agent,
        write: Callable[[], Awaitable[None]],
        host: HostMark,
        changes: OwnNodeChanges,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """write: writes this node's addresses to its Node, as at the start. host: this one."""
        self._agent, self._write, self._host, self._changes = agent, write, host, changes
        self._look_seconds = look_seconds
        self._were_here: set[bytes] = set()
        self._wrong_before = ""
        self._claimed_at: float | None = None
        self._unanswered = False
        """Whether a claim could not be answered: who gets no answer within seconds takes the Node for its own."""

    async def run(self) -> None:
        """Look at once when something changes, but not more often than every few seconds: routes of others may flap."""
        while True:
            changed = self._changes.next()
            await self.answer_claims()
            if self._agent.progress.first_write:
                await self.look()
            await asyncio.sleep(self._look_seconds)
            if not self.in_doubt:
                await rest(changed)

    @property
    def in_doubt(self) -> bool:
        """Whether the next look may find something else though no event comes."""
        progress = self._agent.progress
        undecided = self._wrong_before or progress.identity or self._unanswered or self._claimed_at is not None
        return bool(undecided or progress.held_back or not progress.first_write)

    async def answer_claims(self) -> None:
        """Answer another host that starts with this node's name, and say so as long as it goes on trying."""
        agent, now = self._agent, asyncio.get_running_loop().time()
        node = agent.snapshot.nodes.get(agent.identity.node)
        try:
            claimant = await answer(agent.edges.store, node, self._host) if node else None
        except DatastoreError as error:
            log.warning(
                "answer a claim to the Node %s: %s; next try in %g s", agent.identity.node, error, self._look_seconds
            )
            self._unanswered = True
            return
        self._unanswered = False
        if claimant == QUESTION:
            return
        if claimant is not None:
            self._claimed_at = now
            agent.log_notices(agent.notices.put("claims", [_rival(agent.identity.node, claimant)]))
        elif self._claimed_at is not None and now - self._claimed_at > FORGET_SECONDS:
            self._claimed_at = None
            agent.notices.put("claims", ())

    async def look(self) -> None:
        """Look once; act on what was wrong the last time too, and at once on what nobody else puts back."""
        agent = self._agent
        if agent.progress.held_back:
            return
        wrong, self._wrong_before = self.wrong(), self._wrong_before
        if wrong and (wrong == self._wrong_before or self._is_emptied()):
            await self._put_right(wrong)
        elif not wrong and agent.progress.identity:
            log.warning("the Node %s is as this host is again", agent.identity.node)
            agent.progress.identity = ""
        self._wrong_before = wrong

    def wrong(self) -> str:
        """Return what is wrong, as a sentence; "" = nothing.

        A family none of whose addresses was ever on a device, as behind a cloud's address translation, is as it should
        be.
        """
        agent = self._agent
        node = agent.snapshot.nodes.get(agent.identity.node)
        if node is None:
            return f"there is no Node {agent.identity.node} in the datastore: its blocks reach no other node"
        if HostMark.of(node) not in (None, self._host):
            return f"the Node {node.name} is another host's by now: both use its name and its blocks"
        if lost := lost_families(node, agent.identity.addresses):
            return (
                f"the Node {node.name} has no {' and no '.join(lost)} address any more: its blocks reach no other node"
            )
        addresses = [address for address in agent.peering.addresses() if address]
        self._were_here.update(filter(agent.host.has, addresses))
        for address in addresses:
            if not agent.host.has(address) and any(len(one) == len(address) for one in self._were_here):
                return f"the node's address {unpack(address)} is on no device of this host"
        found = next(other_lengths(node, agent.settings, agent.host.addresses), None)
        if found is not None:
            return f"the node's address {found.stored} has the length /{found.length} on this host"
        internal = next(other_internal_addresses(node, agent.settings, agent.host.addresses_up), None)
        if internal is not None:
            stored, now = internal
            return f"the node's address {stored} is no InternalIP of its Node any more, and {now} is one"
        return ""

    def _is_emptied(self) -> bool:
        """Whether this host's Node is there and has lost an address: it was made anew, or somebody edited it."""
        node = self._agent.snapshot.nodes.get(self._agent.identity.node)
        if node is None or HostMark.of(node) not in (None, self._host):
            return False
        return bool(lost_families(node, self._agent.identity.addresses))

    async def _put_right(self, wrong: str) -> None:
        problem = wrong
        try:
            await self._write()
        except (StartupError, AutodetectionError, DatastoreError, KernelError) as error:
            problem = f"{wrong}; write it anew: {error}"
        if problem != self._agent.progress.identity:
            log.error("%s; trying to put it right every %g s", problem, self._look_seconds)
        self._agent.progress.identity = problem


def lost_families(node: Node, addresses: Addresses) -> list[str]:
    """Return of which families a Node has no address, though the agent began with one: it was made anew, or edited."""
    pairs = (("IPv4", addresses.ipv4, node.ipv4), ("IPv6", addresses.ipv6, node.ipv6))
    return [family for family, begun_with, stored in pairs if begun_with is not None and stored is None]


class OtherLength(NamedTuple):
    """An address of the node's, as its Node has it, and the length that it has on the host."""

    stored: Interface
    length: int


def other_lengths(node: Node, settings: Settings, host: Iterable[InterfaceAddress]) -> Iterator[OtherLength]:
    """Yield the addresses of the node that the host has with other lengths, where the setting leaves these to it."""
    host = list(host)
    for setting, stored in ((settings.ip, node.ipv4), (settings.ip6, node.ipv6)):
        if stored is not None and _leaves_length_to_host(setting):
            lengths = [one.length for one in host if one.address == stored.packed]
            if lengths and stored.network.prefixlen not in lengths:
                yield OtherLength(stored, lengths[0])


class OtherInternalAddress(NamedTuple):
    """An address of the node's, as its Node has it, and the one that Kubernetes knows as the node's by now."""

    stored: Interface
    now: Address


def other_internal_addresses(node: Node, settings: Settings, host: Collection[bytes]) -> Iterator[OtherInternalAddress]:
    """Yield the addresses that are to be the Node's InternalIPs and are none any more. host: those on devices up here.

    One that is not on this host, as when a kubelet says it before the host has it, is waited for.
    """
    for setting, method, stored in (
        (settings.ip, settings.ip_autodetection_method, node.ipv4),
        (settings.ip6, settings.ip6_autodetection_method, node.ipv6),
    ):
        if stored is None or setting is not AddressChoice.DETECT or method.kind != "kubernetes-internal-ip":
            continue
        internal = [one for one in node.internal_addresses if one.version == stored.version and one.packed in host]
        if internal and stored.ip not in internal:
            yield OtherInternalAddress(stored, internal[0])


def _leaves_length_to_host(setting: NodeAddress) -> bool:
    """Whether it is an address without a length, or one is detected, and none that is kept as it is written."""
    return setting is AddressChoice.DETECT or not isinstance(setting, AddressChoice | Interface)


def _rival(node: str, claimant: str) -> Notice:
    return Notice(
        "Node",
        node,
        "",
        f"the host {claimant} was started as this node too",
        "its agent does not run; give it a NODENAME of its own",
    )
