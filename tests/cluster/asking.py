"""Who answers by HTTP at an address, and under which the caller is heard: asked from pods, nodes and the outside.

The one who answers is tests/cluster/pod_server.py.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lab.state_model import PodState
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.node import ClusterNode

_SECONDS = 5
_ANSWER = re.compile(r"^(\S+) ([0-9a-f.:]+)$", re.MULTILINE)

Asker = Callable[[str], str]
"""Runs a script of the shell somewhere; returns its standard output."""


class Answer(NamedTuple):
    """server: the pod that answered. caller: the address under which it heard who asked."""

    server: str
    caller: str


def in_pod(kubectl: Kubectl, pod: PodState) -> Asker:
    return lambda script: kubectl("exec", pod.name, "--", "sh", "-c", script)


def on_node(node: ClusterNode) -> Asker:
    return lambda script: node.machine.sh(script)


def outside(made: Cluster) -> Asker:
    def run(script: str) -> str:
        command = [*made.outside.inside(), "sh", "-c", script]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


def ask(asker: Asker, address: str, port: int = 80, times: int = 1) -> Sequence[Answer]:
    """Return the answers to so many requests, one after another; there are fewer where none came within seconds."""
    request = rf"printf 'GET / HTTP/1.0\r\n\r\n' | timeout {_SECONDS} busybox nc {address} {port} || true"
    said = asker(f"for each in $(seq {times}); do {request}; done")
    return [Answer(*found) for found in _ANSWER.findall(said)]
