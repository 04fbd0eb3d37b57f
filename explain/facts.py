"""All that is known of a cluster at one moment, and one direction of the way through it.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from explain.ends import End
from explain.records import ClusterRecords
from explain.step import Command, Step, StepState
from felix_py.status_model import NodeTrace

_IP_COMMANDS = {4: "ip", 6: "ip -6"}


class ClusterFacts(Struct, frozen=True):
    """What the datastore says, and what each node's agent read.

    traces: by node. unseen: why a node has no trace, by node.
    """

    records: ClusterRecords
    traces: Mapping[str, NodeTrace] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)


class Leg(Struct, frozen=True):
    """The way of a packet from start to goal. direction: "there" or "back"."""

    facts: ClusterFacts
    direction: str
    start: End
    goal: End

    @property
    def ip(self) -> str:
        """The `ip` command of this family."""
        return _IP_COMMANDS[self.goal.version]

    def arrives_at(self, trace: NodeTrace) -> bool:
        return self.goal.node == trace.node

    def step(
        self,
        where: str,
        about: str,
        state: StepState,
        text: str,
        effect: str = "",
        inspect: Command | None = None,
        repair: Command | None = None,
        partly: bool = False,
    ) -> Step:
        return Step(self.direction, where, about, state, text, effect, inspect, repair, partly)
