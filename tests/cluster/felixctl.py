"""felixctl of this tree, as the administrator of a cluster runs it from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.cluster.cluster import Cluster


def felixctl(made: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = {**os.environ, "FELIX_DATASTORE": f"kubernetes://{made.kubectl.kubeconfig}"}
    command = [sys.executable, "-m", "felixctl", *arguments]
    return subprocess.run(command, env=where, capture_output=True, text=True, check=False)
