"""A cluster's other half, without machines: `python -m tests.kube.fake_nodes FOLDER KUBECONFIG`, until it is ended.

kwok does what kubelets do for each Node with the annotation FAKE: the Node turns Ready and renews its Lease, pods that
are bound to it run. Controllers and scheduler are Kubernetes' own, those of them that such pods need. The logs are in
FOLDER.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.kube.assets import program
from tests.kube.control_plane import Program

FAKE = {"kwok.x-k8s.io/node": "fake"}
PROGRAMS = ("kube-controller-manager", "kube-scheduler", "kwok")
_SCHEDULING = "kubescheduler.config.k8s.io/v1"
_STAGES = Path(__file__).with_name("stages.yaml")
_CONTROLLERS = "deployment-controller,replicaset-controller,node-lifecycle-controller"
_PER_SECOND, _AT_ONCE = 500, 1000
"""Requests of a controller or the scheduler: they limit themselves to 20 a second unless told otherwise."""
_SILENT_FOR = "--node-monitor-grace-period=1h"
"""Longer than kwok is silent on a busy machine.

Pods of a node that was not ready are never said to be ready again: only kubelets do that.
"""
_LEASE_SECONDS = 400
"""A tenth of the writes that a thousand kubelets' Leases of 40 s cost: no agent watches Leases."""


def scheduling(kubeconfig: Path) -> dict[str, Any]:
    """Return how the scheduler places pods: on a node that is free, without counting on all nodes for each pod how the
    others are spread.
    """
    spreading = {"apiVersion": _SCHEDULING, "kind": "PodTopologySpreadArgs", "defaultingType": "List"}
    return {
        "apiVersion": _SCHEDULING,
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": _PER_SECOND, "burst": _AT_ONCE},
        "leaderElection": {"leaderElect": False},
        "percentageOfNodesToScore": 5,
        "profiles": [{"pluginConfig": [{"name": "PodTopologySpread", "args": spreading}]}],
    }


def programs(folder: Path, kubeconfig: Path) -> list[Program]:
    often = (f"--kube-api-qps={_PER_SECOND}", f"--kube-api-burst={_AT_ONCE}")
    alone = (f"--kubeconfig={kubeconfig}", "--leader-elect=false", *often)
    here = "--bind-address=127.0.0.1"
    (folder / "scheduling").write_text(json.dumps(scheduling(kubeconfig)))
    arguments: dict[str, Sequence[str]] = {
        "kube-controller-manager": (*alone, here, f"--controllers={_CONTROLLERS}", _SILENT_FOR),
        "kube-scheduler": (here, f"--config={folder / 'scheduling'}"),
        "kwok": (
            *(f"--kubeconfig={kubeconfig}", f"--config={_STAGES}", "--v=WARN"),
            *(f"--manage-nodes-with-annotation-selector={key}={text}" for key, text in FAKE.items()),
            *(f"--node-lease-duration-seconds={_LEASE_SECONDS}", "--cidr=10.128.0.0/12"),
        ),
    }
    return [Program(name, [str(program(name)), *arguments[name]], folder) for name in PROGRAMS]


def main(folder: Path, kubeconfig: Path) -> None:
    started = programs(folder, kubeconfig)
    for each in started:
        each.start()
    try:
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    finally:
        for each in started:
            each.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
