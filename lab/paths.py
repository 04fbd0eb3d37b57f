"""Where a lab has its files: in the project's tree, and inside its namespaces.

Pure.
"""

from __future__ import annotations

from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
SHIM = TREE / "build" / "felix-cni"

CONTROL_SOCKET = "/run/lab.sock"
DATASTORE = "sqlite:///srv/felix/cluster.db"  # one file, the same on every node
STATUS_SOCKET = "/run/felix/status.sock"  # in a node's own /run
