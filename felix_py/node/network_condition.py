"""The condition NetworkUnavailable of this node's Node: whether pods that are scheduled here get a network.

An edge: it looks at what the agent knows when the Node changes, and every few seconds as long as pods cannot be
attached or it has just written; and it writes only where the Node says something else. Its reason is Calico's, since
programs match it; its message says who wrote it. As Calico, an agent that is asked to end says so, and one that is
killed says nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from datastore.backoff import Backoff
from datastore.cas import found_or_none
from datastore.errors import Conflict, DatastoreError
from datastore.fields import time_text
from datastore.kinds.node import NETWORK_UNAVAILABLE, Node, NodeCondition
from datastore.notices import Notice
from felix_py.agent import Agent
from felix_py.node.own_node_changes import OwnNodeChanges, rest

log = logging.getLogger("felix.network_condition")

UP = NodeCondition("False", "CalicoIsUp", "felix-py routes the pods of this node")
DOWN = NodeCondition("True", "CalicoIsDown", "felix-py is shutting down on this node")
LOOK_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0
QUIET_SECONDS = 600.0  # after which nobody is taken to write it too
DOWN_SECONDS = 3.0
"""How long the end of the agent may be delayed by saying so."""


def is_up(held: NodeCondition | None) -> bool:
    """Whether a condition says that pods get a network here, and does not name another program for it than ours.

    A cloud's controller that made routes says `False` in words of its own: that is left to it.
    """
    return held is not None and held.status == UP.status and (held.reason != UP.reason or held == UP)


def rival(node: str, held: NodeCondition) -> Notice:
    """Return what is said of a program that takes back what this agent writes."""
    shown = f"{held.status} ({held.reason}: {held.message})"
    return Notice(
        "Node",
        node,
        f"status.conditions {NETWORK_UNAVAILABLE}",
        f"another program sets it to {shown} while pods are routed here",
        "it is set to False again, each time a little later; stop the other, such as a cloud's route controller",
    )


class NetworkCondition:
    """Keeps the condition of one agent's Node."""

    def __init__(
        self,
        agent: Agent,
        changes: OwnNodeChanges,
        ready: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ready: whether pods may be attached."""
        self._agent, self._changes, self._ready, self._clock = agent, changes, ready, clock
        self._at_rest = False
        """Whether the Node says what it should."""
        self._backoff = Backoff(LOOK_SECONDS, LONGEST_PAUSE_SECONDS)
        self._written_at: float | None = None
        self._complaint = ""

    async def run(self) -> None:
        while True:
            changed = self._changes.next()
            await asyncio.sleep(await self.look())
            if self._at_rest:
                await rest(changed)

    async def look(self) -> float:
        """Look once, and write what is to be said; return after how many seconds to look again."""
        agent = self._agent
        node = agent.snapshot.nodes.get(agent.identity.node)
        self._at_rest = False
        if node is None or not self._ready():
            return LOOK_SECONDS
        if is_up(node.network_unavailable):
            self._at_rest = True
            self._forget()
            return LOOK_SECONDS
        try:
            await agent.edges.store.update(node.with_network_unavailable(UP, time_text(time.time_ns())))
        except Conflict:
            return LOOK_SECONDS  # the watch has yet to report what is there by now
        except DatastoreError as error:
            self._complain(str(error))
            return self._backoff.next()
        self._complaint = ""
        self._wrote(node)
        return self._backoff.next()

    async def say_down(self) -> None:
        """Say that pods get no network here from now on; give up after a few seconds: the agent ends."""
        agent = self._agent
        name = agent.identity.node
        if agent.progress.identity:
            return  # the Node is another host's
        try:
            async with asyncio.timeout(DOWN_SECONDS):
                while (node := await found_or_none(agent.edges.store.get(Node, name))) is not None:
                    if node.network_unavailable == DOWN:
                        return
                    try:
                        await agent.edges.store.update(node.with_network_unavailable(DOWN, time_text(time.time_ns())))
                    except Conflict:
                        continue
        except (DatastoreError, TimeoutError) as error:
            reason = str(error) or f"no answer within {DOWN_SECONDS:g} s"
            log.warning(
                "set %s of the Node %s to True: %s; pods are still scheduled here", NETWORK_UNAVAILABLE, name, reason
            )

    def _wrote(self, before: Node) -> None:
        again, self._written_at = self._written_at is not None, self._clock()
        if again and before.network_unavailable is not None:  # else the Node was made anew
            notice = rival(before.name, before.network_unavailable)
            self._agent.log_notices(self._agent.notices.put("network condition", [notice]))
        else:
            log.info("set %s of the Node %s to False: pods are routed", NETWORK_UNAVAILABLE, before.name)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            log.warning(
                "set %s of the Node %s to False: %s; it is tried again, and until then no pod may be scheduled here",
                NETWORK_UNAVAILABLE,
                self._agent.identity.node,
                complaint,
            )
        self._complaint = complaint

    def _forget(self) -> None:
        """Take nobody for a rival who has long left the condition as it is."""
        if self._written_at is not None and self._clock() - self._written_at > QUIET_SECONDS:
            self._written_at = None
            self._backoff.reset()
            self._agent.notices.put("network condition", ())
