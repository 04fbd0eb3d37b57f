"""Which pod of a cluster reaches which: each pings by its own container, as `kubectl exec` has it do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.state_model import PodState
from lab.traffic import PingMatrix
from tests.cluster.kubectl import Kubectl

AT_ONCE = 6
_OF_A_POD = 6
"""How many pings of a pod run at once. Each hears every ICMP message to its pod, and of those that it has not read
busybox has the kernel keep 7,280 bytes' worth, which are eighteen: with all at once, some do not hear their answer."""
_ANSWERED = re.compile(r"bytes from ([0-9a-f.:]+): .* time=([0-9.]+) ms")


def running_pods(kubectl: Kubectl, *selection: str) -> list[PodState]:
    """Return the pods of the selection that are Ready and not about to go."""
    return [
        PodState(pod["metadata"]["name"], pod["spec"]["nodeName"], tuple(one["ip"] for one in pod["status"]["podIPs"]))
        for pod in kubectl.get("pods", *selection)["items"]
        if "deletionTimestamp" not in pod["metadata"]
        and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
    ]


def ping_all(kubectl: Kubectl, pods: Sequence[PodState], seconds: int = 5, which: int = 0) -> PingMatrix:
    """Return by pod and other pod the round trip in milliseconds to the first address, of those that answered.

    which: another one of the addresses, counted from 0.
    """
    names = {pod.addresses[which]: pod.name for pod in pods}

    def ping_others(pod: PodState) -> Mapping[str, float]:
        others = [f"ping -c 1 -W {seconds} {address} &" for address, name in names.items() if name != pod.name]
        command = " wait; ".join(" ".join(others[at : at + _OF_A_POD]) for at in range(0, len(others), _OF_A_POD))
        answers = _ANSWERED.findall(kubectl("exec", pod.name, "--", "sh", "-c", f"{command} wait"))
        return {names[address]: float(trip) for address, trip in answers}

    with ThreadPoolExecutor(AT_ONCE) as at_once:
        return dict(zip((pod.name for pod in pods), at_once.map(ping_others, pods), strict=True))


def lost(pods: Sequence[PodState], matrix: PingMatrix) -> int:
    """Return how many of the pings of a matrix were not answered."""
    return len(unanswered(pods, matrix))


def unanswered(pods: Sequence[PodState], matrix: PingMatrix) -> list[str]:
    """Return which pings of a matrix were not answered, one phrase each."""
    return [
        f"{one.name} of {one.node} to {other.name} of {other.node}"
        for one in pods
        for other in pods
        if other != one and other.name not in matrix[one.name]
    ]
