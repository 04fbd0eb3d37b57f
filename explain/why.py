"""Why two addresses reach each other, or which step is the first that is broken.

Pure: a `Picture` in, steps out. A packet is followed as it goes, from pod to node to node to pod, and back; each step
is a fact that was read, judged by what should be. What breaks a step is told with its cause, what comes of it, the
command that shows it, and, where that is safe to run at once, the one that repairs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from explain.facts import Block, Device, Endpoint, Picture, Pool, Records, Session, View, Wanted, Way
from net.prefix import Prefix

OVERHEAD = {"ipip": 20, "vxlan": 50}  # what a tunnel's device puts before a packet (IPv4)
_SHORT_WAYS = {4: "ip", 6: "ip -6"}
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


class Unclear(ValueError):
    """The question has no answer as it was put; the message says what to ask instead."""


class State(StrEnum):
    """What a step is: as it should be, working but worth a look, broken, or out of sight."""

    OK = "ok"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the node or pod to run it in; "" is wherever felixctl reaches the datastore."""

    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Step:
    """One fact on the way. direction: "records", "there" or "back". about: a word that scripts can rely on.

    partly: what is broken concerns some packets only.
    """

    direction: str
    where: str
    about: str
    state: State
    says: str
    effect: str = ""
    shows: Command | None = None
    repairs: Command | None = None
    partly: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """One of the two: what was asked for, its address, and whose it is. node: where packets for it should arrive."""

    asked: str
    address: str = ""
    endpoint: Endpoint | None = None
    node: str = ""

    @property
    def title(self) -> str:
        return self.endpoint.title if self.endpoint else self.asked

    @property
    def is_node(self) -> bool:
        return self.endpoint is None and self.asked == self.node

    @property
    def sends(self) -> bool:
        """False for an address of ours that nobody has."""
        return self.endpoint is not None or self.is_node or not self.node

    @property
    def version(self) -> int:
        return 6 if ":" in self.address else 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """reachable: nothing that could be seen is broken. first: the step that decides it."""

    reachable: bool
    sentence: str
    first: Step | None = None


# Who is asked about


def ends_of(records: Records, one: str, other: str) -> tuple[End, End]:
    """Return the two ends in a family that both have, IPv4 if possible.

    Raises Unclear: both are the same, a name that several namespaces have, or no family in common.
    """
    if one == other:
        raise Unclear(f"why {one} {other}: both are the same; name two ends")
    candidates = [_candidates(records, asked) for asked in (one, other)]
    for version in (4, 6):
        pair = [next((end for end in ends if not end.address or end.version == version), None) for ends in candidates]
        if pair[0] and pair[1]:
            return pair[0], pair[1]
    raise Unclear(f"why {one} {other}: they have no address family in common")


def _candidates(records: Records, asked: str) -> list[End]:
    """Return an end for each of its addresses; one without address for a pod that is not attached."""
    if ":" in asked or asked.replace(".", "").isdecimal():
        try:
            return [_at(records, Prefix.host(asked).address)]
        except ValueError as error:
            raise Unclear(f"why {asked}: {error}") from None
    if asked in records.nodes:
        return [End(asked, address, node=asked) for address in records.nodes[asked]]
    namespace, slash, pod = asked.rpartition("/")
    found = [one for one in records.endpoints if one.pod == pod and (not slash or one.namespace == namespace)]
    if len({one.namespace for one in found}) > 1:
        titles = " or ".join(sorted(one.title for one in found))
        raise Unclear(f"why {asked}: several namespaces have a pod of that name; say {titles}")
    return [End(asked, address, one, one.node) for one in found for address in one.addresses] or [End(asked)]


def _at(records: Records, address: str) -> End:
    endpoint = records.endpoint_of(address)
    if endpoint:
        return End(address, address, endpoint, endpoint.node)
    node = records.node_of(address)
    if node:
        return End(node, address, node=node)
    block = records.block_of(address)
    return End(address, address, node=block.owner or "" if block else "")


# What is said


def explain(picture: Picture, one: End, other: End) -> tuple[Step, ...]:
    """Return every step: what the records say of both, the way there, and the way back."""
    steps = [*_about(picture.records, one), *_about(picture.records, other)]
    if one.address and other.address:
        steps += Walk(picture, "there", one, other).steps() if one.sends else ()
        steps += Walk(picture, "back", other, one).steps() if other.sends else ()
    return tuple(steps)


def verdict(one: End, other: End, steps: Sequence[Step]) -> Verdict:
    """Return what the first broken step means; one that stops all packets counts before one that stops some."""
    broken = sorted((step for step in steps if step.state is State.BROKEN), key=lambda step: step.partly)
    between = f"{one.title} and {other.title}"
    if broken:
        first = broken[0]
        effect = f"; {first.effect}" if first.effect else ""
        return Verdict(False, f"{first.where}: {first.says}{effect}", first)
    unseen = sorted({step.where for step in steps if step.state is State.UNSEEN})
    if unseen:
        return Verdict(True, f"nothing that can be seen between {between} is broken; out of sight: {', '.join(unseen)}")
    return Verdict(True, f"nothing between {between} is broken, in either direction")


def _about(records: Records, end: End) -> Iterator[Step]:
    """Yield what the records say of one end: its endpoint, its address, its block and its pool."""
    if not end.address:
        yield _not_attached(records, end)
        return
    if end.is_node:
        yield Step("records", end.asked, "endpoint", State.OK, f"{end.address} is a node's own address")
        return
    block, pool = records.block_of(end.address), records.pool_of(end.address)
    if end.endpoint is None:
        yield _nobodys(end, block, pool)
    else:
        yield from _of_pod(records, end, end.endpoint, block)
    if pool and pool.disabled:
        says = f"pool {pool.name} {pool.prefix} is disabled: who has an address of it keeps it, nobody gets a new one"
        yield Step("records", end.title, "pool", State.DOUBTFUL, says, shows=_get_pool(pool))


def _not_attached(records: Records, end: End) -> Step:
    known = sorted(one.title for one in records.endpoints)
    says = f"there is no pod {end.asked}: no endpoint has this name"
    usable = [pool for pool in records.pools if not pool.disabled]
    if records.pools and not usable:
        pool = records.pools[0]
        names = ", ".join(one.name for one in records.pools)
        return Step(
            "records",
            end.asked,
            "pool",
            State.BROKEN,
            f"{says}, and no pod can get an address: every pool is disabled ({names})",
            "attaching a pod fails until a pool is enabled",
            _get_pool(pool),
            Command("", f"""felixctl patch ippool {pool.name} -p '{{"spec": {{"disabled": false}}}}'"""),
        )
    near = f"; there are {', '.join(known[:8])}{' …' if len(known) > 8 else ''}" if known else "; there is none at all"
    shows = Command("", "felixctl get workloadendpoints -A")
    return Step("records", end.asked, "endpoint", State.BROKEN, says, f"it has no address to reach{near}", shows)


def _get_pool(pool: Pool) -> Command:
    return Command("", f"felixctl get ippool {pool.name} -o yaml")


def _nobodys(end: End, block: Block | None, pool: Pool | None) -> Step:
    """Return what an address is that no endpoint has: leaked, a tunnel's, free, or none of ours."""
    given = block.given.get(end.address) if block else None
    shows = Command("", f"felixctl ipam show --ip {end.address}")
    if given and given.tunnel_of:
        return Step("records", end.asked, "endpoint", State.OK, f"the address of node {given.tunnel_of}'s tunnel")
    if given and given.pod:
        says = f"address {end.address} is leaked: it is assigned to pod {given.pod} (handle {given.handle}), which has"
        return Step(
            "records",
            end.asked,
            "address",
            State.BROKEN,
            f"{says} no endpoint",
            f"no node routes to it, and packets for it end in the blackhole of block {block.prefix if block else ''}",
            shows,
            Command("", "felixctl ipam check --fix"),
        )
    if given:
        says = f"address {end.address} is assigned under handle {given.handle}, and no endpoint has it"
        return Step("records", end.asked, "address", State.DOUBTFUL, says, shows=shows)
    if block:
        says = f"address {end.address} of block {block.prefix} ({block.owner}) is assigned to nobody"
        return Step("records", end.asked, "address", State.DOUBTFUL, says, shows=shows)
    if pool:
        says = f"address {end.address} of pool {pool.name} lies in no block: no node has claimed it"
        return Step("records", end.asked, "address", State.DOUBTFUL, says, shows=shows)
    return Step("records", end.asked, "address", State.UNSEEN, f"{end.address} is outside of every pool and no node's")


def _of_pod(records: Records, end: End, endpoint: Endpoint, block: Block | None) -> Iterator[Step]:
    shows = Command("", f"felixctl ipam show --ip {end.address}")
    twins = [one.title for one in records.endpoints if end.address in one.addresses and one != endpoint]
    if twins:
        says = f"address {end.address} has two owners: {endpoint.title} and {', '.join(twins)}"
        effect = "packets reach one of them, whichever route wins"
        yield Step("records", end.title, "address", State.BROKEN, says, effect, shows)
    if block is None or end.address not in block.given:
        says = f"{end.address} on {endpoint.node} is not assigned in any block: another pod may get it too"
        yield Step("records", end.title, "address", State.DOUBTFUL, says, shows=shows)
        return
    owner = f"block {block.prefix} of {block.owner}"
    if block.owner != endpoint.node:
        owner = f"borrowed from {owner}"
    elif not block.confirmed:
        says = f"{endpoint.node}'s claim on block {block.prefix} is not confirmed: it is not announced yet"
        yield Step("records", end.title, "block", State.DOUBTFUL, says, shows=shows)
    pool = records.pool_of(end.address)
    named = f", pool {pool.name}" if pool else ""
    yield Step("records", end.title, "endpoint", State.OK, f"{end.address} on {endpoint.node}, {owner}{named}")


# The way of a packet


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a node sends the packet: out of its device, to the node that has the gateway ("" = a router not ours)."""

    device: Device | None
    gateway: str
    node: str


@dataclass(slots=True)
class Walk:
    """One direction, step by step. `_size` is the largest packet that is still under way."""

    picture: Picture
    direction: str
    start: End
    goal: End
    _size: int = field(default=0, init=False)

    def steps(self) -> Iterator[Step]:
        if not self.start.node:
            yield self._step(self.start.asked, "outside", State.UNSEEN, "how it sends to us is not ours to see")
            return
        here, came_by = self.start.node, ""
        if self.start.endpoint:
            yield from self._out_of_pod(self.start.endpoint)
            came_by = self.start.endpoint.device
        passed: set[str] = set()
        while here:
            if here in passed:
                yield self._step(
                    here, "route", State.BROKEN, "the packet was here before", "it goes in circles until it dies"
                )
                return
            passed.add(here)
            view = self.picture.views.get(here)
            if view is None:
                says = self.picture.unseen.get(here, "its agent was not asked")
                yield self._step(here, "node", State.UNSEEN, says)
                here, came_by = self.goal.node if self.goal.node != here else "", ""
                continue
            yield from self._into_node(view, came_by)
            onward = yield from self._route(view)
            if onward is None:
                return
            yield from self._link(view, onward)
            here, came_by = onward.node, self._arrival(onward)

    def _step(
        self,
        where: str,
        about: str,
        state: State,
        says: str,
        effect: str = "",
        shows: Command | None = None,
        repairs: Command | None = None,
        partly: bool = False,
    ) -> Step:
        return Step(self.direction, where, about, state, says, effect, shows, repairs, partly)

    # Pod

    def _out_of_pod(self, endpoint: Endpoint) -> Iterator[Step]:
        view = self.picture.views.get(endpoint.node)
        if view is None:
            return
        seen = view.pods.get(self.start.address)
        if seen is None:
            yield self._step(endpoint.title, "pod", State.UNSEEN, "its namespace is not to be seen by the node's agent")
            return
        device, way = seen.device, seen.way
        self._size = device.mtu
        place, ip = endpoint.pod, self._ip
        if not device.up:
            shows = Command(place, f"{ip} link show {device.name}")
            says, effect = f"device {device.name} in the pod is down", "nothing leaves the pod, nothing reaches it"
            yield self._step(endpoint.title, "device", State.BROKEN, says, effect, shows)
        elif way is None or not way.leads_on:
            shows = Command(place, f"{ip} route get {self.goal.address}")
            says = f"the pod has no route to {self.goal.address}" + (f" but {way.words}" if way else "")
            yield self._step(endpoint.title, "route", State.BROKEN, says, "nothing leaves the pod", shows)
        else:
            yield self._step(endpoint.title, "route", State.OK, f"{way.words}, MTU {way.mtu or device.mtu}")

    def _into_pod(self, view: View, outer: Device, endpoint: Endpoint) -> Iterator[Step]:
        seen = view.pods.get(self.goal.address)
        if seen is None:
            says = "its namespace is not to be seen by the node's agent"
            yield self._step(endpoint.title, "pod", State.UNSEEN, says)
        elif not seen.device.up:
            shows = Command(endpoint.pod, f"{self._ip} link show {seen.device.name}")
            says = f"device {seen.device.name} in the pod is down"
            yield self._step(endpoint.title, "device", State.BROKEN, says, "nothing reaches the pod", shows)
        else:
            yield from self._fits(view.node, outer, endpoint.title, seen.device, endpoint.pod)
            yield self._step(endpoint.title, "pod", State.OK, f"{self.goal.address} arrives by {seen.device.name}")

    # Node

    @property
    def _ip(self) -> str:
        return _SHORT_WAYS[self.goal.version]

    def _into_node(self, view: View, came_by: str) -> Iterator[Step]:
        """Yield whether a node takes in and passes on what comes by a device; nothing came by any where it starts."""
        if not came_by:
            return
        device = view.devices.get(came_by)
        if device is None:
            yield self._gone(view, came_by)
            return
        if not (device.up and device.carrier):
            yield self._lame(view, device)
        elif self.start.endpoint and self.start.node == view.node:
            yield from self._fits(self.start.title, None, view.node, device, view.node)
        if self.goal.is_node and self.goal.node == view.node:
            return
        version = self.goal.version
        if device.forwarding.get(version, True):
            yield self._step(view.node, "forwarding", State.OK, f"takes packets in by {device.name} and forwards them")
            return
        shows = Command(view.node, f"sysctl {_FORWARDING[version]} {_device_forwarding(version, device.name)}")
        yield self._step(
            view.node,
            "forwarding",
            State.BROKEN,
            f"the node does not forward: {_FORWARDING[version]} is off for packets that come in by {device.name}",
            f"it drops whatever is not for itself, such as packets from {self.start.title} to {self.goal.title}",
            shows,
            Command(view.node, f"sysctl -w {_FORWARDING[version]}=1"),
        )

    def _gone(self, view: View, name: str) -> Step:
        says = f"there is no device {name}" if name else "the endpoint names no device"
        shows = Command(view.node, f"ip link show {name}")
        return self._step(view.node, "device", State.BROKEN, says, "its pod is cut off; attach it anew", shows)

    def _lame(self, view: View, device: Device) -> Step:
        shows = Command(view.node, f"ip link show {device.name}")
        if not device.up:
            says, effect = f"device {device.name} is down", "it takes nothing in and sends nothing out"
            repair = Command(view.node, f"ip link set {device.name} up")
            return self._step(view.node, "device", State.BROKEN, says, effect, shows, repair)
        says = f"device {device.name} is up, but its link is down (no carrier)"
        effect = "what it should carry is lost at the cable, or whatever its other end is"
        return self._step(view.node, "link", State.BROKEN, says, effect, shows)

    # Route

    def _route(self, view: View) -> Generator[Step, None, Onward | None]:
        """Yield what the node's kernel does with the packet; return where it goes, None if it goes no further."""
        way, rows = view.ways.get(self.goal.address), view.wanted.get(self.goal.address, ())
        best = next((row for row in rows if row.best), None)
        arrived = self.goal.node == view.node
        if arrived and self.goal.endpoint:
            outer = view.devices.get(self.goal.endpoint.device)
            if outer is None or not (outer.up and outer.carrier):
                yield self._gone(view, self.goal.endpoint.device) if outer is None else self._lame(view, outer)
        if way is None or not self._is_right(view, way, best, arrived):
            yield self._wrong_way(view, way, rows, best, arrived)
            return None
        yield self._step(view.node, "route", State.OK, f"{way.words}{self._credit(view, way, best)}")
        yield from self._session_of(view, way, best)
        if arrived:
            if self.goal.endpoint and (outer := view.devices.get(way.device)):
                yield from self._too_wide(view, outer)
                yield from self._into_pod(view, outer, self.goal.endpoint)
            return None
        node = self.picture.records.node_of(way.gateway) or self.goal.node
        return Onward(view.devices.get(way.device), way.gateway or self.goal.address, node)

    def _is_right(self, view: View, way: Way, best: Wanted | None, arrived: bool) -> bool:
        """Whether the kernel's way leads to the goal as far as this node can tell."""
        if not way.leads_on:
            return False
        if arrived:
            wanted = self.goal.endpoint.device if self.goal.endpoint else way.device
            return way.device == wanted and (way.kind == "local") == (self.goal.endpoint is None)
        if not self.goal.node or self.goal.is_node or self.picture.records.node_of(way.gateway) == self.goal.node:
            return True
        return best is not None and best.source != "blocks" and best.prefix == way.prefix

    def _credit(self, view: View, way: Way, best: Wanted | None) -> str:
        """Return which source put the route there, and how packets go from here."""
        kind = view.devices[way.device].kind if way.device in view.devices else ""
        inside = f", inside {kind} packets" if kind in OVERHEAD else ""
        if way.kind == "local":
            return ""
        if best is None or best.prefix != way.prefix:
            return f" (not one of ours){inside}"
        shadow = f" ({best.note})" if best.note else ""
        return f" ({best.source}){shadow}{inside}"

    def _session_of(self, view: View, way: Way, best: Wanted | None) -> Iterator[Step]:
        """Yield the session over which the route was learned."""
        if best is None or best.source != "learned" or best.prefix != way.prefix:
            return
        session = self._session_with_goal(view) or _session_at(view, way.gateway)
        if session is None:
            says = "learned from a peer that is not its next hop"
            yield self._step(view.node, "session", State.OK, says)
        elif session.is_up:
            says = f"learned over the session with {session.address}, up {_since(session)}"
            yield self._step(view.node, "session", State.OK, says)
        else:
            says = f"learned over the session with {session.address}, which is away {_since(session)}"
            effect = f"{session.stale} routes of it are kept until it is back or its restart time is over"
            shows = Command(view.node, "felixctl node status")
            yield self._step(view.node, "session", State.DOUBTFUL, f"{says}: {session.info}", effect, shows)

    def _session_with_goal(self, view: View) -> Session | None:
        for address in self.picture.records.nodes.get(self.goal.node, ()):
            if (":" in address) == (self.goal.version == 6) and (session := _session_at(view, address)):
                return session
        return None

    # What is wrong with a route

    def _wrong_way(
        self, view: View, way: Way | None, rows: Sequence[Wanted], best: Wanted | None, arrived: bool
    ) -> Step:
        node, address = view.node, self.goal.address
        shows = Command(node, f"{self._ip} route show match {address}")
        effect = self._effect(way)
        if best and best.source != "blocks" and (way is None or way.length < best.length):
            return self._missing(view, best, effect)
        unresolved = next((row for row in rows if not row.best and row.note and row.source != "blocks"), None)
        if unresolved:
            says = f"the route to {unresolved.prefix} that {unresolved.source} wants is not in force: {unresolved.note}"
            return self._step(node, "route", State.BROKEN, says, effect, shows)
        if best and best.source != "blocks" and way:
            says = f"{way.words} leads elsewhere and wins over {best.words}" + (f": {best.note}" if best.note else "")
            return self._step(node, "route", State.BROKEN, says, effect, shows)
        if arrived and self.goal.endpoint is None:
            said = f"{way.kind} {way.prefix}" if way and not way.leads_on else "no route"
            says = f"the packet hits {said}: no pod of {node} has {address}"
            return self._step(node, "blackhole", State.BROKEN, says, "it is dropped without a word", shows)
        if arrived:
            says = f"the agent wants no route to {address}: it does not know {self.goal.title}"
            return self._step(node, "route", State.BROKEN, says, effect, Command(node, f"felixctl routes {address}"))
        return self._not_learned(view, effect)

    def _missing(self, view: View, best: Wanted, effect: str) -> Step:
        why = best.note or ("" if view.repair else "it was deleted, and repair is off (FELIX_REPAIR=false)")
        says = f"{best.source} wants {best.words}, and the kernel does not have it" + (f": {why}" if why else "")
        return self._step(
            view.node,
            "route",
            State.BROKEN,
            says,
            effect,
            Command(view.node, f"felixctl routes {self.goal.address}"),
            Command(view.node, f"{self._ip} route replace {best.words}"),
        )

    def _effect(self, way: Way | None) -> str:
        if way is None:
            return f"nothing leads to {self.goal.address}, and the sender is told that it is unreachable"
        if not way.leads_on:
            return f"packets for {self.goal.address} are dropped by {way.words}"
        return f"packets for {self.goal.address} go astray by {way.words}"

    def _not_learned(self, view: View, effect: str) -> Step:
        """Return why a node knows no way to what another node has: the session, or what is told over it."""
        node, goal = view.node, self.goal.node
        shows = Command(node, "felixctl node status")
        block = self.picture.records.block_of(self.goal.address)
        what = str(block.prefix) if block and block.owner == goal else self.goal.address
        session = self._session_with_goal(view)
        if view.sidecar_problem:
            says = f"the BGP sidecar is away ({view.sidecar_problem}), and {what} was not learned before"
        elif not goal:
            return self._unclaimed(view, effect)
        elif session is None:
            off = (
                ""
                if self.picture.records.mesh
                else ": the mesh is off (nodeToNodeMeshEnabled), and no BGPPeer names it"
            )
            says = f"no BGP session with {goal} is configured, so {what} is not learned{off}"
            shows = Command("", "felixctl get bgpconfiguration,bgppeer -o wide") if off else shows
        elif not session.is_up:
            reason = f": {self._reason(session)}"
            says = f"the BGP session with {goal} ({session.address}) is down {_since(session)}{reason}"
            effect = f"{what} is not learned, so {effect}"
        else:
            return self._untold(view, session, what, effect)
        return self._step(node, "session", State.BROKEN, says, effect, shows)

    def _reason(self, session: Session) -> str:
        """Return why a session is down. Two AS numbers that do not match say more than how it ended."""
        there = self.picture.views.get(self.goal.node)
        if there and there.as_number and session.as_number and there.as_number != session.as_number:
            return f"wrong AS, {self.goal.node} is AS {there.as_number} and AS {session.as_number} is configured for it"
        return session.info or "it says no reason"

    def _unclaimed(self, view: View, effect: str) -> Step:
        says = f"no route to {self.goal.address}, and no node has claimed a block with it"
        return self._step(
            view.node, "route", State.BROKEN, says, effect, Command("", "felixctl ipam show --show-blocks")
        )

    def _untold(self, view: View, session: Session, what: str, effect: str) -> Step:
        """Return why a session that is up does not tell of what its other end has."""
        goal, pool = self.goal.node, self.picture.records.pool_of(self.goal.address)
        there = self.picture.views.get(goal)
        if pool and not pool.exported:
            says = f"{goal} does not announce {what}: pool {pool.name} has disableBGPExport"
            return self._step(goal, "announcement", State.BROKEN, says, effect, _get_pool(pool))
        if there and not there.announced:
            says = f"{goal} does not announce {what}, though the session with {view.node} is up"
            shows = Command(goal, "felixctl node status -o json")
            return self._step(goal, "announcement", State.BROKEN, says, effect, shows)
        refused = f"; it has refused {session.refused} routes of this peer" if session.refused else ""
        says = f"{what} was not learned from {goal}, though the session with {session.address} is up{refused}"
        return self._step(
            view.node, "session", State.BROKEN, says, effect, Command(view.node, "felixctl node status -o json")
        )

    # Link and MTU

    def _arrival(self, onward: Onward) -> str:
        """Return the device by which the next node takes the packet in, "" if that cannot be told."""
        view = self.picture.views.get(onward.node)
        if view is None:
            return ""
        outer = onward.device
        if outer and outer.kind in OVERHEAD:
            return next((one.name for one in view.devices.values() if one.kind == outer.kind), "")
        device = self._port(view, onward.gateway)
        return device.name if device else ""

    def _port(self, view: View, gateway: str) -> Device | None:
        """Return the device of a node that faces the others: the one with this address, else with the node's own."""
        own = self.picture.records.nodes.get(view.node, ())
        found = (view.device_with(address) for address in (gateway, *own) if (":" in address) == (":" in gateway))
        return next((device for device in found if device), None)

    def _link(self, view: View, onward: Onward) -> Iterator[Step]:
        device = onward.device
        if device is None:
            yield self._step(view.node, "device", State.UNSEEN, "the device it sends by was not seen")
            return
        if not (device.up and device.carrier):
            yield self._lame(view, device)
        yield from self._too_wide(view, device)
        if not onward.node:
            yield self._step(f"beyond {onward.gateway}", "outside", State.UNSEEN, "the packet leaves the cluster here")
            return
        there = self.picture.views.get(onward.node)
        port = self._port(there, onward.gateway) if there else None
        routed = self.picture.records.node_of(onward.gateway) is None
        if port and not routed:
            yield from self._fits(view.node, device, onward.node, port, onward.node)
            if onward.device and onward.device.kind in OVERHEAD and there and not (port.up and port.carrier):
                yield self._lame(there, port)
        through = f" through router {onward.gateway}, which is no node of ours" if routed else ""
        says = f"{device.name} to {onward.node}{through}, MTU {device.mtu}, {_encapsulation(device)}"
        yield self._step(view.node, "link", State.OK, says)

    def _too_wide(self, view: View, device: Device) -> Iterator[Step]:
        """Yield a doubt where packets must shrink: their sender is told so, if nothing drops what tells it."""
        if self._size and device.mtu < self._size:
            says = (
                f"packets may have {self._size} bytes and {device.name} sends {device.mtu}: their sender is told to"
                " send smaller ones (ICMP); where that is dropped, connections hang"
            )
            shows = Command(view.node, f"ip link show {device.name}")
            yield self._step(view.node, "mtu", State.DOUBTFUL, says, shows=shows)
            self._size = device.mtu

    def _fits(self, here: str, sender: Device | None, there: str, receiver: Device, place: str) -> Iterator[Step]:
        """Yield a break where one end of a link takes smaller packets than the other sends: nobody is told of those.

        Without a sender it is the pod that sends. place: where commands about the receiver are run.
        """
        sent = sender.mtu + OVERHEAD.get(sender.kind, 0) if sender else self._size
        if sent and self._size:
            sent = min(sent, self._size + (OVERHEAD.get(sender.kind, 0) if sender else 0))
        if receiver.mtu >= sent:
            return
        by = f"{sender.name} of {here}" if sender else here
        yield self._step(
            f"{here} to {there}",
            "mtu",
            State.BROKEN,
            f"MTU too small: {receiver.name} of {there} takes {receiver.mtu} bytes, and {by} sends up to {sent}",
            f"packets of more than {receiver.mtu} bytes are lost without a word; small ones, such as pings, pass",
            Command(place, f"ip link show {receiver.name}"),
            Command(place, f"ip link set {receiver.name} mtu {sent}"),
            partly=True,
        )


def _since(session: Session) -> str:
    """Return since when a session is in its state, in local time."""
    if session.since is None:
        return "since nobody knows when"
    return f"since {datetime.fromtimestamp(session.since):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006


def _encapsulation(device: Device) -> str:
    return f"encapsulated ({device.kind})" if device.kind in OVERHEAD else "no encapsulation"


def _device_forwarding(version: int, name: str) -> str:
    return f"net.ipv{version}.conf.{name}.forwarding"


def _session_at(view: View, address: str) -> Session | None:
    return next((session for session in view.sessions if session.address == address), None)
