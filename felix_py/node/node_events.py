"""Events about this node's Node: what is wrong here, and that it is over, where `kubectl describe node` shows them.

An edge: it looks every few seconds at the agent's status, and writes what `node_messages` says is to be said. What was
said is noted in a file, so that an agent that starts says nothing twice and knows what is over. An Event's name follows
from what it says: one that was written before, whether or not that was heard, is counted once more and not doubled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec.structs import replace

from datastore.backoff import Backoff
from datastore.errors import AlreadyExists, DatastoreError, NotFound
from datastore.fields import time_text
from datastore.kinds.event import NAMESPACE, Event
from datastore.kinds.node import Node
from felix_py.agent import Agent
from felix_py.configuration.settings import events_file
from felix_py.files import read_text, write_text
from felix_py.node.node_messages import MOST_A_MINUTE, DueEvent, Memory, Moment, Told, messages, room
from felix_py.status.problems import Trouble, problems, unknown
from felix_py.status.status_json import from_json, to_json
from felix_py.status_model import AgentStatus

log = logging.getLogger("felix.events")

LOOK_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 300.0
SETTLING_SECONDS = 120.0
"""After its start an agent does not know yet what is over: it has looked neither at the host nor at the invariants."""
LEAST_REST = 100  # times what a look took: a status of thousands of sessions takes its time


def _now() -> Moment:
    return Moment(time.time(), time.monotonic())


class NodeEvents:
    """The Events of one agent. status: what the agent says of itself."""

    def __init__(
        self, agent: Agent, status: Callable[[], Awaitable[AgentStatus]], clock: Callable[[], Moment] = _now
    ) -> None:
        self._agent, self._status, self._clock = agent, status, clock
        self._place = events_file(agent.settings)
        self._memory = memory_of(read_text(self._place))
        self._settled_at = clock().steady + SETTLING_SECONDS
        self._written: deque[float] = deque(maxlen=MOST_A_MINUTE)
        self._backoff = Backoff(LOOK_SECONDS, LONGEST_PAUSE_SECONDS)
        self._complaint = ""

    async def run(self) -> None:
        """Look again and again, once the agent has taken up its work."""
        await self._agent.ready()
        while True:
            begun = time.monotonic()
            pause = await self.look()
            await asyncio.sleep(max(pause, LEAST_REST * (time.monotonic() - begun)))

    async def look(self) -> float:
        """Look once, and write what is to be said; return after how many seconds to look again."""
        agent, now = self._agent, self._clock()
        node = agent.snapshot.nodes.get(agent.identity.node)
        if node is None:
            return LOOK_SECONDS  # there is nothing that an Event could be about
        status, uid = await self._status(), node.metadata.uid or ""
        found = problems(status, unready_addresses(agent.snapshot.nodes.values()))
        hidden = unknown(status) if now.steady >= self._settled_at else frozenset(Trouble)
        self._memory = self._memory.seen(found, hidden, uid, now)
        try:
            for message in list(messages(self._memory, found, hidden, uid, now))[: room(self._written, now)]:
                self._written.append(now.steady)
                self._memory = self._memory.after(await self._say(node, message))
        except DatastoreError as error:
            self._complain(str(error))
            return self._backoff.next()
        finally:
            write_text(self._place, text_of(self._memory))
        self._complaint = ""
        self._backoff.reset()
        return LOOK_SECONDS

    async def _say(self, node: Node, message: DueEvent) -> DueEvent:
        """Write an Event, or count it once more; return the message with the count that it has then."""
        store, told = self._agent.edges.store, message.told
        if told.count == 1:
            try:
                await store.create(_event(node, message))
                return message
            except AlreadyExists:  # by the agent before, or by this one, which did not hear of it
                message = replace(message, told=replace(told, count=2))
        event = _event(node, message)
        try:
            await store.patch(Event, event.name, event.said_again(), NAMESPACE)
            return message
        except NotFound:  # the API server has forgotten it
            message = replace(message, told=replace(told, count=1))
            await store.create(_event(node, message))
            return message

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            log.warning("write an Event about the Node %s: %s; it is tried again", self._agent.identity.node, complaint)
        self._complaint = complaint


def unready_addresses(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the addresses of nodes that Kubernetes says are not ready."""
    away = (node for node in nodes if node.ready in ("False", "Unknown"))
    return frozenset(str(one.ip) for node in away for one in (node.ipv4, node.ipv6) if one is not None)


def text_of(memory: Memory) -> str:
    return json.dumps([to_json(one) for one in memory.told.values()])


def memory_of(text: str) -> Memory:
    """Return what an agent noted; nothing where it is no such note."""
    try:
        found = json.loads(text or "[]")
        told: Sequence[Told] = [from_json(Told, one) for one in found]
    except (ValueError, TypeError, RecursionError):
        return Memory()
    return Memory({one.key: one for one in told})


def _event(node: Node, message: DueEvent) -> Event:
    told = message.told
    name = f"{node.name[:200]}.{told.mark}"
    return Event.about(node, name, message.kind, told.reason, told.note, told.count, time_text(int(told.at * 10**9)))
