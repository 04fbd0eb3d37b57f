"""kubectl, as the administrator of a cluster."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kube.assets import program

_SECONDS = 600


class KubectlError(Exception):
    """kubectl refused; the message has its command and what it said."""


class Kubectl:
    """What kubectl says of the cluster that a configuration names."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, feed: str = "") -> str:
        """Return what it prints. Raises KubectlError."""
        command = [str(program("kubectl")), "--kubeconfig", str(self.kubeconfig), *arguments]
        ran = subprocess.run(command, input=feed, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if ran.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def get(self, *what: str) -> Any:
        return json.loads(self("get", *what, "--output=json"))

    def apply(self, *records: Mapping[str, Any]) -> None:
        self("apply", "--filename=-", feed=json.dumps({"apiVersion": "v1", "kind": "List", "items": records}))

    def ready(self, kind: str, *which: str) -> int:
        """Return how many objects of a kind have the condition Ready."""
        return sum(
            any(one["type"] == "Ready" and one["status"] == "True" for one in each["status"].get("conditions", ()))
            for each in self.get(kind, *which)["items"]
        )
