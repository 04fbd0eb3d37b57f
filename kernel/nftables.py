"""The nftables chains of this network namespace, read by netlink. Edge, which changes nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import closing
from operator import itemgetter
from pathlib import Path

from kernel import nftables_codec as codec
from kernel.message import explain
from kernel.netlink import KernelError, NetlinkSocket
from net.packet_filter import Action, Chain, Packet, Rule

LOADED = Path("/sys/module/nf_tables")
MODULES = Path(f"/lib/modules/{os.uname().release}/kernel/net/netfilter")
_ABSENT = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)
"""What the kernel answers that has no nftables."""
_NAT = "nat"


def read_nftables(devices: Mapping[int, str], *, nat: bool = False, translated: Packet | None = None) -> list[Chain]:
    """Return the attached chains and those that they lead to. devices: names by index. Raises KernelError.

    nat: also those that translate addresses, and can drop nothing; translated: of these, only what this packet is known
    to come to, as kube-proxy has a chain for each Service. A module that is not loaded has none, and is not loaded for
    the question.
    """
    if not is_loaded():
        return []
    try:
        netlink = NetlinkSocket(codec.NETLINK_NETFILTER, receive_buffer=1 << 20)
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise KernelError(f"read nftables: {explain(error.errno or 0)}", error.errno or 0) from None
    with closing(netlink):
        return _Reading(netlink, devices).chains(nat=nat, translated=translated)


def is_loaded() -> bool:
    """Whether the kernel has nftables now, without loading a module for the question."""
    return LOADED.exists() or not any(MODULES.glob("nf_tables.ko*"))


def _leads_on(rule: Rule, packet: Packet | None) -> bool:
    """Return whether a rule leads to another chain; with a packet: whether it is known that it may come there."""
    if rule.action not in (Action.JUMP, Action.GOTO):
        return False
    return packet is None or (rule.is_read and rule.matches(packet) is not False)


class _Reading:
    """One look at the chains. Of rules and sets only what a packet can come to is read."""

    def __init__(self, netlink: NetlinkSocket, devices: Mapping[int, str]) -> None:
        self._netlink, self._devices = netlink, devices
        self._sets: dict[tuple[int, str, str], codec.Elements] = {}

    def chains(self, *, nat: bool, translated: Packet | None) -> list[Chain]:
        heads = {(head.family, head.table, head.name): head for head in self._heads()}
        attached = [(key, head.kind == _NAT) for key, head in heads.items() if head.hook]
        # Taken from the end: what filters comes first, so that nothing of it is left out for being met in a nat chain.
        pending = sorted((one for one in attached if nat or not one[1]), key=itemgetter(1), reverse=True)
        found: dict[tuple[int, str, str], Chain] = {}
        while pending:
            key, translates = pending.pop()
            if key in found or key not in heads:
                continue
            rules = self._rules(heads[key])
            found[key] = heads[key].with_rules(rules)
            only_for = translated if translates else None
            pending += [((*key[:2], rule.target), translates) for rule in rules if _leads_on(rule, only_for)]
        return list(found.values())

    def _heads(self) -> list[codec.ChainHead]:
        try:
            dumped = self._netlink.dump(codec.GET_CHAIN, codec.request(), "read the chains of nftables")
        except KernelError as refused:
            if refused.errno in _ABSENT:
                return []
            raise
        return [head for item in dumped if (head := codec.decode_chain(item.body)) is not None]

    def _rules(self, head: codec.ChainHead) -> list[Rule]:
        body = codec.request(head.family, table=head.table, chain=head.name)
        try:
            dumped = self._netlink.dump(codec.GET_RULE, body, f"read chain {head.name} of nftables")
        except KernelError as refused:
            if refused.errno == errno.ENOENT:
                return []  # removed meanwhile
            raise

        def read_set(name: str) -> codec.Elements:
            return self._elements(head.family, head.table, name)

        return [rule for item in dumped for rule in codec.decode_rule(item.body, self._devices, read_set)]

    def _elements(self, family: int, table: str, name: str) -> codec.Elements:
        key = family, table, name
        if key not in self._sets:
            body = codec.request(family, table=table, set_name=name)
            try:
                dumped = self._netlink.dump(codec.GET_SET_ELEMENTS, body, f"read set {name} of nftables")
            except KernelError as refused:
                if refused.errno != errno.ENOENT:
                    raise
                dumped = []
            self._sets[key] = codec.decode_elements(item.body for item in dumped)
        return self._sets[key]
