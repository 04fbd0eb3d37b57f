"""The agent that is measured: its command line and its environment, with all of its files in one folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TREE = Path(__file__).parents[1]
AGENT = (sys.executable, "-m", "felix_py")
NODE, ADDRESS = "bench", "192.0.2.10/24"


def environment(
    folder: Path, datastore: str = "", *, address: str = ADDRESS, pool: str = "10.65.0.0/16"
) -> Mapping[str, str]:
    """Return the environment. Without a datastore the agent has a file of its own."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(TREE),
        "NODENAME": NODE,
        "IP": address,
        "CALICO_IPV4POOL_CIDR": pool,
        "CALICO_NODENAME_FILE": str(folder / "nodename"),
        "FELIX_MTUFILE": str(folder / "mtu"),
        "FELIX_DATASTORE": datastore or f"sqlite://{folder}/cluster.db",
        "FELIX_RUN_DIR": str(folder / "run"),
        "FELIX_STATE_DIR": str(folder / "state"),
        "FELIX_HEALTHPORT": "0",
        "FELIX_MTU": "1500",
        "FELIX_LOGSEVERITYSCREEN": "WARNING",
    }
