"""A cluster's other half, without machines: `python -m tests.kube.fake_nodes FOLDER KUBECONFIG`, until it is ended.

kwok does what kubelets do for each Node with the annotation FAKE: the Node turns Ready and renews its Lease, pods that
are bound to it run. Controllers and scheduler are Kubernetes' own, those of them that such pods need. The logs are in
FOLDER.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kube.assets import program
from tests.kube.control_plane import Program

FAKE = {"kwok.x-k8s.io/node": "fake"}
PROGRAMS = ("kube-controller-manager", "kube-scheduler", "kwok")
_STAGES = Path(__file__).with_name("stages.yaml")
_CONTROLLERS = "deployment-controller,replicaset-controller,node-lifecycle-controller,garbage-collector-controller"
_OFTEN = ("--kube-api-qps=500", "--kube-api-burst=1000")
"""Controllers limit themselves to 20 requests a second unless told otherwise."""
_SILENT_FOR = "--node-monitor-grace-period=1h"
"""Longer than kwok is silent on a busy machine.

Pods of a node that was not ready are never said to be ready again: only kubelets do that.
"""


def programs(folder: Path, kubeconfig: Path) -> list[Program]:
    alone = (f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1", *_OFTEN)
    arguments: dict[str, Sequence[str]] = {
        "kube-controller-manager": (*alone, f"--controllers={_CONTROLLERS}", _SILENT_FOR),
        "kube-scheduler": alone,
        "kwok": (
            *(f"--kubeconfig={kubeconfig}", f"--config={_STAGES}", "--v=WARN"),
            *(f"--manage-nodes-with-annotation-selector={key}={text}" for key, text in FAKE.items()),
            *("--node-lease-duration-seconds=40", "--cidr=10.128.0.0/12"),
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
