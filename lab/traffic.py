"""Which pod reaches which: every pod pings every other, once or as a steady stream.

An edge: it asks the pods' processes (lab/pod.py), which send and count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from lab.runtime import RunningPod
from lab.state_model import StreamReport

MOST_PACKETS_AT_ONCE = 4000  # more than two processors answer in time would count as lost

Answers = Mapping[str, Mapping[str, float]]
"""By pod and address: the round trip in milliseconds."""
PingMatrix = Mapping[str, Mapping[str, float]]
"""By pod and other pod, if all addresses of that answered: the slowest round trip in milliseconds."""


def pings(pods: Sequence[RunningPod]) -> int:
    """Return how many packets it takes that every pod pings every address of the others."""
    return sum(len(pod.addresses) for pod in pods) * (len(pods) - 1)


async def ping_all(pods: Sequence[RunningPod], seconds: float) -> Answers:
    """Have every pod ping all addresses of the others, all pods at once or, if those are too many packets, in waves."""
    wave = asyncio.Semaphore(max(1, MOST_PACKETS_AT_ONCE * len(pods) // max(1, pings(pods))))

    async def ping_others(pod: RunningPod) -> Mapping[str, float]:
        others = [address for other in pods if other is not pod for address in other.addresses]
        async with wave:
            answer = await pod.ask({"ping": others, "seconds": seconds})
        return dict(answer["answered"])

    answers = await asyncio.gather(*map(ping_others, pods))
    return {pod.name: answered for pod, answered in zip(pods, answers, strict=True)}


def ping_matrix(pods: Sequence[RunningPod], answers: Answers) -> PingMatrix:
    return {
        name: {
            other.name: max(trips[address] for address in other.addresses)
            for other in pods
            if other.name != name and other.addresses and all(address in trips for address in other.addresses)
        }
        for name, trips in answers.items()
    }


class Traffic:
    """Every pod pings the next pod of another node at a steady pace."""

    def __init__(self) -> None:
        self._streaming: list[RunningPod] = []
        self._targets: dict[str, str] = {}

    async def start(self, pods: Sequence[RunningPod], per_second: float) -> None:
        """Start, in place of what was started before."""
        await self.stop()
        for i, pod in enumerate(pods):
            others = [other for other in (*pods[i:], *pods[:i]) if other.node != pod.node]
            if others:
                await pod.ask({"stream": others[0].addresses[0], "per_second": per_second})
                self._streaming.append(pod)
                self._targets[pod.name] = others[0].name

    def forget(self, name: str) -> None:
        """A pod has ended, and its stream with it."""
        self._streaming = [pod for pod in self._streaming if pod.name != name]

    async def report(self, since: float) -> tuple[StreamReport, ...]:
        """Return how each stream fares; of its packets, those sent since a moment of the monotonic clock."""
        answers = await asyncio.gather(*(pod.ask({"report": since}) for pod in self._streaming))
        return tuple(
            StreamReport(pod.name, self._targets[pod.name], answer["sent"], tuple(answer["unanswered"]))
            for pod, answer in zip(self._streaming, answers, strict=True)
        )

    async def stop(self) -> dict[str, int]:
        """End the traffic; return how many packets were sent and how many were lost, of all pods together."""
        streaming, self._streaming = self._streaming, []
        ends = await asyncio.gather(*(pod.ask({"stop": True}) for pod in streaming))
        return {key: sum(end[key] for end in ends) for key in ("sent", "lost")}
