"""What packet filters do with a packet: chains of rules as values, followed as the kernel follows them.

Pure. Not every condition can be decided: a packet whose protocol is left open stands for many, and some conditions of
other programs are not read. So a condition holds, does not hold, or may hold for some packets, and so does a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from net.prefix import Prefix, unpack

DEVICE_NAME_BYTES = 16
TCP = 6
NFT = "nft"
INVALID, NEW, ESTABLISHED = 1, 8, 2  # bits of a connection's state, as nftables and iptables both have them
ANSWERED = 2 | 8  # of a connection's status: an answer was seen, it is confirmed; its addresses are not changed
_DEEPEST = 32  # jumps; the kernel allows 16


class Hook(StrEnum):
    """A place of the kernel where chains see packets, in the words of nftables. The first and last are of a device."""

    INGRESS = "ingress"
    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"
    EGRESS = "egress"


FORWARDED = (Hook.INGRESS, Hook.PREROUTING, Hook.FORWARD, Hook.POSTROUTING, Hook.EGRESS)
RECEIVED = (Hook.INGRESS, Hook.PREROUTING, Hook.INPUT)
SENT = (Hook.OUTPUT, Hook.POSTROUTING, Hook.EGRESS)


class Field(StrEnum):
    """What of a packet a condition looks at."""

    SOURCE = "saddr"
    DESTINATION = "daddr"
    PROTOCOL = "l4proto"
    SOURCE_PORT = "sport"
    DESTINATION_PORT = "dport"
    IN_DEVICE = "iifname"
    OUT_DEVICE = "oifname"
    STATE = "ct state"
    STATUS = "ct status"
    MARK = "mark"
    FAMILY = "nfproto"
    ETHERTYPE = "ethertype"


class Action(StrEnum):
    """What a rule does with a packet that it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    CONTINUE = "continue"
    UNREAD = "unread"

    @property
    def drops(self) -> bool:
        return self in (Action.DROP, Action.REJECT)


class Packet(Struct, frozen=True):
    """The first packet of a connection, or an answer to it. Devices: None = not known, "" = there is none.

    source, protocol and ports: None = any. tracked: its connection has been looked up.
    """

    source: bytes | None
    destination: bytes
    came_by: str | None = ""
    leaves_by: str | None = ""
    protocol: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    is_answer: bool = False
    tracked: bool = True

    @property
    def version(self) -> int:
        return 4 if len(self.destination) == 4 else 6

    def seen_at(self, hook: Hook) -> Packet:
        """Return the packet with what chains at a hook see of it."""
        if hook is Hook.INGRESS:
            return replace(self, leaves_by="", tracked=False)
        return replace(self, came_by="") if hook is Hook.EGRESS else self

    def value(self, looked_at: Field) -> bytes | None:
        """Return a field as the kernel compares it; None if it is open, empty if the packet has none."""
        match looked_at:
            case Field.SOURCE:
                return self.source
            case Field.DESTINATION:
                return self.destination
            case Field.PROTOCOL:
                return None if self.protocol is None else bytes([self.protocol])
            case Field.SOURCE_PORT:
                return None if self.source_port is None else self.source_port.to_bytes(2, "big")
            case Field.DESTINATION_PORT:
                return None if self.destination_port is None else self.destination_port.to_bytes(2, "big")
            case Field.IN_DEVICE:
                return device_name(self.came_by)
            case Field.OUT_DEVICE:
                return device_name(self.leaves_by)
            case Field.STATE:
                return state_bits(INVALID if not self.tracked else ESTABLISHED if self.is_answer else NEW)
            case Field.STATUS:
                return b"" if not self.tracked else state_bits(ANSWERED if self.is_answer else 0)
            case Field.MARK:
                return bytes(4)
            case Field.FAMILY:
                return bytes([2 if self.version == 4 else 10])
            case Field.ETHERTYPE:
                return bytes.fromhex("0800" if self.version == 4 else "86dd")


def device_name(name: str | None) -> bytes | None:
    return name.encode().ljust(DEVICE_NAME_BYTES, b"\0") if name else None if name is None else b""


def state_bits(bits: int) -> bytes:
    return bits.to_bytes(4, "little")


class Condition(Struct, frozen=True):
    """A field lies in one of these ranges, or, if inverted, in none. mask: what of the field counts; empty: all of it.

    Bounds shorter than the field are compared with its beginning. field None: a condition that is not read, named so.
    """

    field: Field | None
    ranges: tuple[tuple[bytes, bytes], ...] = ()
    inverted: bool = False
    mask: bytes = b""
    name: str = ""

    def holds(self, packet: Packet) -> bool | None:
        """Return whether it holds; None: for some packets, or that is not known."""
        if self.field is None or (value := packet.value(self.field)) is None:
            return None
        if not value:
            return False  # there is nothing, such as no device, whatever it is compared with
        if self.mask:
            value = bytes(a & b for a, b in zip(value, self.mask, strict=False))
        inside = any(first <= value[: len(first)] <= last for first, last in self.ranges)
        return inside is not self.inverted

    def __str__(self) -> str:
        if self.field is None:
            return f"({self.name}: not read)"
        texts = [_range_text(self.field, self.mask, *bounds) for bounds in self.ranges[:4]]
        more = ", …" if len(self.ranges) > 4 else ""
        several = f"{{{', '.join(texts)}{more}}}" if len(self.ranges) != 1 else texts[0]
        if self.field in (Field.STATE, Field.STATUS) and self.mask and self.ranges == ((bytes(4), bytes(4)),):
            return f"{self.field} {'' if self.inverted else '!= '}{_bits_text(self.field, self.mask)}"
        return f"{self.field} {'!= ' if self.inverted else ''}{several}"


_STATES = {1: "invalid", 2: "established", 4: "related", 8: "new", 64: "untracked"}
_STATUSES = {16: "snat", 32: "dnat"}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


def _bits_text(looked_at: Field, bits: bytes) -> str:
    number = int.from_bytes(bits, "little")
    names = _STATES if looked_at is Field.STATE else _STATUSES
    return ",".join(name for bit, name in names.items() if number & bit) or hex(number)


def _range_text(looked_at: Field, mask: bytes, first: bytes, last: bytes) -> str:
    one, other = _value_text(looked_at, first), _value_text(looked_at, last)
    if looked_at in (Field.SOURCE, Field.DESTINATION):
        size = 4 if len(first) <= 4 else 16
        bits = sum(byte.bit_count() for byte in mask) if mask else 8 * len(first)
        one, other = (unpack(bound.ljust(size, b"\0")) for bound in (first, last))
        if first == last:
            return one if bits == 8 * size else f"{one}/{bits}"
    return one if first == last else f"{one}-{other}"


def _value_text(looked_at: Field, value: bytes) -> str:
    number = int.from_bytes(value, "big")
    match looked_at:
        case Field.IN_DEVICE | Field.OUT_DEVICE:
            wildcard = "" if value.endswith(b"\0") or len(value) == DEVICE_NAME_BYTES else "*"
            return f'"{value.rstrip(bytes(1)).decode(errors="replace")}{wildcard}"'
        case Field.PROTOCOL:
            return _PROTOCOLS.get(number, str(number))
        case Field.STATE | Field.STATUS:
            return _bits_text(looked_at, value)
        case Field.SOURCE_PORT | Field.DESTINATION_PORT:
            return str(number)
        case Field.FAMILY:
            return {2: "ipv4", 10: "ipv6"}.get(number, str(number))
        case Field.MARK:
            return hex(int.from_bytes(value, "little"))
    return "0x" + value.hex()


_NEW_DESTINATION = frozenset({"dnat", "redir", "DNAT", "NETMAP", "REDIRECT"})


class Rule(Struct, frozen=True):
    """target: the chain to go to, or what is called an action that is not read, or that accepts and translates."""

    conditions: tuple[Condition, ...]
    action: Action
    target: str = ""

    def matches(self, packet: Packet) -> bool | None:
        """Return whether it matches; None: it does for some packets, or that is not known."""
        answers = [condition.holds(packet) for condition in self.conditions]
        return False if False in answers else None if None in answers else True

    @property
    def redirects(self) -> bool:
        """Whether what it matches gets another destination."""
        return self.action is Action.ACCEPT and self.target in _NEW_DESTINATION

    @property
    def is_read(self) -> bool:
        return all(condition.field is not None for condition in self.conditions)

    def may_be_for_all(self, packet: Packet) -> bool:
        """Return whether it may match every packet that this one stands for: what is read of it does, the rest may."""
        return all(condition.field is None or condition.holds(packet) for condition in self.conditions)

    def __str__(self) -> str:
        match self.action:
            case Action.UNREAD:
                what = self.target
            case Action.JUMP | Action.GOTO:
                what = f"{self.action} {self.target}"
            case Action.ACCEPT if self.target:
                what = f"{self.action} ({self.target})"
            case _:
                what = self.action
        return " ".join([*map(str, self.conditions), what])


class Chain(Struct, frozen=True):
    """tool: the command that shows and changes it. table: as that command names it. versions: of IP, that it sees.

    hook: where it is attached; None: other chains lead to it. drops: its policy, for what no rule decides. devices: of
    a hook of devices, those whose packets it sees; one that ends with * stands for all that begin so.
    """

    tool: str
    table: str
    name: str
    rules: tuple[Rule, ...] = ()
    hook: Hook | None = None
    priority: int = 0
    drops: bool = False
    versions: tuple[int, ...] = (4, 6)
    devices: tuple[str, ...] = ()

    def sees(self, packet: Packet) -> bool | None:
        """Return whether it sees a packet at its hook; None: that depends on a device that is not known."""
        if packet.version not in self.versions:
            return False
        if self.hook not in (Hook.INGRESS, Hook.EGRESS):
            return True
        device = packet.came_by if self.hook is Hook.INGRESS else packet.leaves_by
        if device is None:
            return None if self.devices else False
        return any(device.startswith(one[:-1]) if one.endswith("*") else device == one for one in self.devices)


class FilterHit(Struct, frozen=True):
    """What drops a packet, or may. rule: "" = the chain's policy.

    chain: the attached one. within: the chain that holds the rule, where it is another, which that one leads to.
    sure: False where only some packets meet it, or where it depends on what is not read.
    """

    tool: str
    table: str
    chain: str
    within: str = ""
    rule: str = ""
    sure: bool = True

    @property
    def shown_by(self) -> str:
        """The command that shows the chain."""
        chain = self.within or self.chain
        return f"nft list chain {self.table} {chain}" if self.tool == NFT else f"{self.tool} -t {self.table} -S {chain}"

    def accept(self, *nft: str, iptables: str) -> str:
        """Return the command by which the attached chain accepts packets before anything drops them.

        The packets are given in the words of both tools; several of nft's make several rules.
        """
        if self.tool != NFT:
            return f"{self.tool} -t {self.table} -I {self.chain} {iptables} -j ACCEPT"
        rules = "; ".join(f"insert rule {self.table} {self.chain} {packets} accept" for packets in nft)
        return f"nft '{rules}'" if len(nft) > 1 else f"nft {rules}"

    def accept_port(self, port: int) -> str:
        """Return the command that accepts TCP to and from a port."""
        match = f"-p tcp -m multiport --ports {port}"
        return self.accept(f"tcp dport {port}", f"tcp sport {port}", iptables=match)

    def __str__(self) -> str:
        within = f", from there in chain {self.within}" if self.within else ""
        what = f"rule: {self.rule}" if self.rule else "policy drop"
        return f"{self.tool} table {self.table}, chain {self.chain}{within}, {what}"


class FilterOutcome(Struct, frozen=True):
    """dropped: what drops the packet. partly: rules before let some packets pass. doubts: what may drop it."""

    dropped: FilterHit | None = None
    partly: bool = False
    doubts: tuple[FilterHit, ...] = ()


class PacketFilters(Struct, frozen=True, dict=True):
    """The chains of a kernel that can drop packets. unread: why some of them could not be read, a sentence each."""

    chains: tuple[Chain, ...] = ()
    unread: tuple[str, ...] = ()

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str, str], Chain]:
        return {(chain.tool, chain.table, chain.name): chain for chain in self.chains}

    def attached(self, hook: Hook, packet: Packet) -> Iterator[tuple[Chain, bool]]:
        """Yield the chains at a hook that see a packet, in the kernel's order, and whether that is sure."""
        found = ((chain, chain.sees(packet)) for chain in self.chains if chain.hook is hook)
        seeing = [(chain, sees is True) for chain, sees in found if sees is not False]
        yield from sorted(seeing, key=lambda one: one[0].priority)

    def outcome(self, hooks: Iterable[Hook], packet: Packet) -> FilterOutcome:
        """Return what becomes of a packet that passes these hooks."""
        return self._followed(hooks, packet, translates=False)

    def redirected(self, hook: Hook, packet: Packet) -> FilterOutcome:
        """Return what gives a packet that begins a connection another destination, as if that dropped it.

        Rules that ask for what is not read are left out: those of kube-proxy and container engines are for Services and
        for the host's own addresses, and say so in such words.
        """
        return self._followed((hook,), packet, translates=True)

    def _followed(self, hooks: Iterable[Hook], packet: Packet, *, translates: bool) -> FilterOutcome:
        doubts: list[FilterHit] = []
        for hook in hooks:
            seen = packet.seen_at(hook)
            for base, is_sure in self.attached(hook, seen):
                found = _Following(self._by_name, seen, base, translates=translates)
                hit = found.decides()
                doubts += found.doubts
                if hit is not None and not is_sure:
                    hit = replace(hit, sure=False)
                if hit is not None and hit.sure:
                    return FilterOutcome(hit, found.lets_some_pass, tuple(doubts))
                doubts += [hit] if hit else []
        return FilterOutcome(doubts=tuple(doubts))


class _Following:
    """One packet's way through one attached chain and those that it leads to.

    translates: it is followed to what gives it another destination, instead of to what drops it.
    """

    def __init__(
        self, chains: Mapping[tuple[str, str, str], Chain], packet: Packet, base: Chain, *, translates: bool
    ) -> None:
        self._chains, self._packet, self._base, self._translates = chains, packet, base, translates
        self.doubts: list[FilterHit] = []
        self.lets_some_pass = False
        self._unread_pass = False
        self._for_some = False  # the chain that is followed sees only some of the packets
        self._behind_unread = False  # what leads to the chain that is followed is not read

    def decides(self) -> FilterHit | None:
        """Return what drops the packet, None if it passes."""
        base, result = self._base, self._through(self._base, 0)
        if result is not None:
            return self._judged(*result) if self._is_sought(result[0]) else None
        if self._translates or not base.drops:
            return None
        return FilterHit(base.tool, base.table, base.name, sure=not self._unread_pass)

    def _is_sought(self, rule: Rule) -> bool:
        return rule.redirects if self._translates else rule.action.drops

    def _judged(self, rule: Rule, chain: Chain, sure: bool = True) -> FilterHit:
        base = self._base
        within = chain.name if chain is not base else ""
        return FilterHit(base.tool, base.table, base.name, within, str(rule), sure and not self._unread_pass)

    def _through(self, chain: Chain, depth: int) -> tuple[Rule, Chain] | None:
        """Return the rule that decides, and its chain; None if the packet comes out at the end."""
        for rule in chain.rules:
            matches = rule.matches(self._packet)
            if matches is False or rule.action is Action.CONTINUE:
                continue
            if rule.action is Action.RETURN:
                if matches:
                    return None
                self._note(rule, rule, chain)
                continue
            result = self._reached(rule, chain, depth)
            if result is not None and matches and result[0].action is not Action.UNREAD:
                return result
            if result is not None:
                self._note(rule, *result)
            if rule.action is Action.GOTO and matches:
                return None
        return None

    def _reached(self, rule: Rule, chain: Chain, depth: int) -> tuple[Rule, Chain] | None:
        if rule.action not in (Action.JUMP, Action.GOTO):
            return rule, chain
        target = self._chains.get((chain.tool, chain.table, rule.target))
        before = self._for_some, self._behind_unread
        self._for_some = self._for_some or not rule.may_be_for_all(self._packet)
        self._behind_unread = self._behind_unread or not rule.is_read
        result = self._through(target, depth + 1) if target and depth < _DEEPEST else None
        self._for_some, self._behind_unread = before
        return result

    def _note(self, entered: Rule, decides: Rule, chain: Chain) -> None:
        """Note a verdict that some packets meet, or perhaps none."""
        if self._is_sought(decides):
            if not self._translates or (entered.is_read and not self._behind_unread):
                self.doubts.append(self._judged(decides, chain, sure=False))
            return
        self.lets_some_pass = True
        if not self._for_some and all(rule.may_be_for_all(self._packet) for rule in (entered, decides)):
            self._unread_pass = True


def network_text(address: str, networks: Iterable[Prefix]) -> str:
    """Return the network among these that holds an address, as a filter's rule may name it; else the address."""
    host = Prefix.host(address)
    return next((str(network) for network in networks if network.contains(host)), address)
