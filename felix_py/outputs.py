"""What is brought in line after which change, in order.

The order is the rule: a tunnel's device before the routes into it, every route in the kernel before a session or an
announcement speaks of it. NAT comes before the routes by which packets could leave, the guard before the tunnel. What
only says what is wrong comes last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from msgspec import Struct

from felix_py.topics import Topic


class Output(Struct, frozen=True):
    """One part of the world. apply: brings it in line with what was folded in; it may run at any time, and again.

    needed: whether those behind it must not go on after its failure.
    """

    name: str
    on: Topic
    apply: Callable[[], Awaitable[None]]
    needed: bool = True


TUNNEL_DEVICE = Topic.POOLS | Topic.OWN_NODE | Topic.FELIX | Topic.MTU | Topic.TUNNEL_DEVICES
TUNNEL_SETTINGS = TUNNEL_DEVICE | Topic.NODES
NODE_TABLE = Topic.POOLS | Topic.NODES | Topic.OWN_NODE | Topic.FELIX
TUNNEL_ROUTES = TUNNEL_SETTINGS | Topic.REMOTE_BLOCKS
FORWARDING = Topic.POOLS | Topic.OWN_NODE
POD_MTU = Topic.POOLS | Topic.FELIX | Topic.MTU
SURROUNDINGS = Topic.POOLS | Topic.NODES | Topic.OWN_NODE | Topic.BGP | Topic.NEXT_HOPS | Topic.ADDRESSES
OUTSIDE_POOLS = Topic.POOLS | Topic.BLOCKS | Topic.BORROWED
CONFIGURATIONS = Topic.NODES | Topic.OWN_NODE | Topic.BGP | Topic.FELIX
OF_ALL_NODES = Topic.NODES | Topic.OWNERS
"""What follows from these is worked out of all Nodes or claims, and each of the cluster changes them."""
SESSIONS = OF_ALL_NODES | Topic.OWN_NODE | Topic.BGP | Topic.PASSWORDS | Topic.FILTERED | Topic.POOLS | Topic.ADDRESSES
INTERESTS = Topic.POOLS | Topic.NODES | Topic.OWN_NODE | Topic.BGP
STATIC_ROUTES = Topic.BGP | Topic.OWN_NODE | Topic.NEXT_HOPS | Topic.ADDRESSES
ANNOUNCEMENTS = Topic.BORROWED | Topic.BLOCKS | Topic.POOLS | Topic.OWN_NODE
# Whatever is announced is written first, or the write under way is waited for.
ROUTES = Topic.ROUTES | Topic.HELD | Topic.NEXT_HOPS | Topic.PODS | TUNNEL_ROUTES | STATIC_ROUTES | ANNOUNCEMENTS


class FailedOutput(NamedTuple):
    """What an output raised."""

    output: Output
    error: Exception


async def bring_in_line(outputs: tuple[Output, ...], due: Topic) -> list[FailedOutput]:
    """Apply what depends on any of these topics, in order, up to one that fails and is needed; return what failed."""
    failures: list[FailedOutput] = []
    bits = due._value_  # plain integers: `&` of two flags takes ten calls, and this runs for every event of the kernel
    for output in outputs:
        if output.on._value_ & bits:
            try:
                await output.apply()
            except Exception as error:
                failures.append(FailedOutput(output, error))
                if output.needed:
                    break
    return failures


REST_FOR_EACH_NODE_SECONDS, LONGEST_REST_SECONDS = 0.001, 1.0


def rest_seconds(nodes: int) -> float:
    """Return how long what was worked out of all Nodes stays as it is, whatever changes of them meanwhile.

    One that comes alone is acted on at once. Of thousands that come one by one, all of a while cost what one does.
    """
    return min(REST_FOR_EACH_NODE_SECONDS * nodes, LONGEST_REST_SECONDS)


class Due:
    """The topics that changed and are not brought in line yet. added: how often any did, those of bursts included.

    It counts with the topics' plain integers, as `bring_in_line` does.
    """

    def __init__(self) -> None:
        self.added = 0
        self._topics = self._later = self._resting = 0
        self._some = asyncio.Event()

    def add(self, topic: Topic) -> None:
        self._add(topic._value_)

    def _add(self, bits: int) -> None:
        if bits:
            self.added += 1
            self._put(bits)

    def _put(self, bits: int) -> None:
        self._topics |= bits
        if bits & ~self._resting:
            self._some.set()

    def rest(self, topics: Topic, seconds: float) -> None:
        """Keep these topics due for so many seconds, whatever adds them."""
        self._resting |= topics._value_
        asyncio.get_running_loop().call_later(seconds, self._end_rest, topics._value_)

    def _end_rest(self, bits: int) -> None:
        self._resting &= ~bits
        self._put(self._topics & bits)

    def add_later(self, topic: Topic, seconds: float) -> None:
        """Add a topic that changes in bursts, once for all that come within these seconds."""
        if not self._later:
            asyncio.get_running_loop().call_later(seconds, self._add_later)
        self.added += 1
        self._later |= topic._value_

    def _add_later(self) -> None:
        later, self._later = self._later, 0
        self._add(later)

    async def wait(self) -> None:
        """Return when a topic that does not rest was added, or its rest is over, since this last returned."""
        await self._some.wait()
        self._some.clear()

    def take(self, among: Topic = Topic.EVERYTHING) -> Topic:
        """Return the due topics among these; the others, and those that rest, stay due."""
        taken = self._topics & among._value_ & ~self._resting
        self._topics &= ~taken
        return Topic(taken)
