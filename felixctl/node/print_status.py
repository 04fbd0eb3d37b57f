"""Read the status of this node's agent, and print an agent's status for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from felix_py.status_model import AgentStatus
from felixctl.host_settings import STATUS_SOCKET
from felixctl.node.status import report
from felixctl.status_client import read_object, value_of
from felixctl.terminal import show


def own_status(run_dir: Path) -> tuple[Mapping[str, Any], str]:
    """Return what this node's agent says, and where it does. Raises CommandError: no agent answers."""
    return read_object(run_dir, "/status"), f"/status of the agent at {run_dir / STATUS_SOCKET}"


def print_status(found: Mapping[str, Any], where: str) -> None:
    """Raises CommandError: it is no status, as of an agent of another version."""
    show(*report(value_of(AgentStatus, where, found), now=time.time()))
