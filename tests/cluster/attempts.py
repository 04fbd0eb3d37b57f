"""What kubelets had their runtimes do about pods' sandboxes, and when: from the log of a node's containerd."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

_LINE = re.compile(
    r'^time="([0-9T:-]+\.\d{6})\d*Z" level=\w+ msg="RunPodSandbox for name:\\"([^\\]+)\\"(.*)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sandbox that a kubelet asked for once. refusal: why there is none; empty: there is."""

    pod: str
    asked: datetime
    answered: datetime
    refusal: str

    @property
    def seconds(self) -> float:
        """How long the kubelet waited for the answer."""
        return (self.answered - self.asked).total_seconds()


def attempts(log: str) -> Iterator[Attempt]:
    """Yield those that were answered, in the order of the answers."""
    asked: dict[str, datetime] = {}
    for time, pod, rest in _LINE.findall(log):
        moment = datetime.fromisoformat(f"{time}+00:00")
        failed, _, refusal = rest.partition('failed, error" error=')
        if refusal or "returns sandbox id" in failed:
            yield Attempt(pod, asked.pop(pod, moment), moment, refusal)
        else:
            asked[pod] = moment


def pauses(made: Sequence[Attempt], words: str = "") -> list[float]:
    """Return after how many seconds each a kubelet asked again for what had been refused with these words."""
    by_pod: dict[str, list[Attempt]] = {}
    for one in made:
        by_pod.setdefault(one.pod, []).append(one)
    return [
        (after.asked - before.answered).total_seconds()
        for of_pod in by_pod.values()
        for before, after in pairwise(of_pod)
        if before.refusal and words in before.refusal
    ]
