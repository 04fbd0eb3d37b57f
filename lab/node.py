"""One node of the lab's cluster: its sidecar and agent as in production, and its container runtime.

An edge: it starts programs, and asks the agent for its pages.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cni.installer import install_shim
from felix_py.status.status_json import from_json
from felix_py.status_model import AgentStatus, InvariantReport, RoutesPage, RouteStatus
from lab.node_namespace import NodeNamespace, kill
from lab.paths import DATASTORE, SHIM, STATUS_SOCKET
from lab.runtime import ContainerRuntime
from lab.service import Service
from lab.spec import LabNodeSpec
from lab.timescale import TIMESCALE

_SIDECAR = (
    "--socket",
    "/run/felix/bgp/bgp.sock",
    "--state-dir",
    "/run/felix/bgp",
    "--timeout-factor",
    f"{TIMESCALE:g}",
)
_PYTHON = {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class LabNode:
    """One node: its namespace, what runs there, and its container runtime."""

    def __init__(self, spec: LabNodeSpec, namespace: NodeNamespace) -> None:
        self.spec, self.namespace = spec, namespace
        self.runtime = ContainerRuntime(namespace)
        self.services = {
            "sidecar": Service(namespace, "sidecar", (sys.executable, "-m", "bgp", *_SIDECAR), _PYTHON),
            "agent": Service(namespace, "agent", (sys.executable, "-m", "felix_py"), _agent_environment(spec)),
        }

    def start(self) -> None:
        install_shim(SHIM, self.namespace.path("/opt/cni/bin"))
        for service in self.services.values():
            service.start()

    async def ready(self) -> bool:
        """True once the runtime would call this node ready: a conflist is there, and STATUS succeeds."""
        return any(self.namespace.path("/etc/cni/net.d").glob("*.conflist")) and await self.runtime.status()

    async def status(self) -> AgentStatus:
        """Return the agent's status; no more than the node's name while it does not answer."""
        return from_json(AgentStatus, {"node": self.spec.name, **await self.page("/status")})

    async def routes(self) -> tuple[RouteStatus, ...]:
        """Return the routes the agent wants; none while it does not answer."""
        return from_json(RoutesPage, await self.page("/routes")).routes

    async def invariants(self) -> InvariantReport:
        """Have the agent check its invariants now."""
        return from_json(InvariantReport, await self.page("/invariants"))

    async def page(self, page: str) -> dict[str, Any]:
        """Return any page of the agent; nothing while it does not answer."""
        try:
            answer: dict[str, Any] = await self.namespace.get(STATUS_SOCKET, page)
        except (OSError, ValueError):
            return {}
        return answer

    def kill_exabgp(self, number: signal.Signals) -> bool:
        """Send a signal to the process that the sidecar runs for its sessions, and starts again when it has ended."""
        mine = [pid for pid in _processes("bgp/exabgp_launcher/__main__.py") if _share_mounts(pid, self.namespace.pid)]
        return sum(kill(pid, number) for pid in mine) > 0


def _agent_environment(node: LabNodeSpec) -> dict[str, str]:
    """Return what the manifest's DaemonSet would put into the agent's environment."""
    versions = {address.version for address in node.addresses}
    return {
        **_PYTHON,
        "NODENAME": node.name,
        "IP": "autodetect" if 4 in versions else "none",
        "IP6": "autodetect" if 6 in versions else "none",
        "FELIX_DATASTORE": DATASTORE,
        "FELIX_CNICONFDIR": "/etc/cni/net.d",
        **dict(node.settings),
    }


def _share_mounts(pid: int, other: int) -> bool:
    """Whether two processes are in one mount namespace; False if one has just ended."""
    try:
        return Path(f"/proc/{pid}/ns/mnt").samefile(f"/proc/{other}/ns/mnt")
    except OSError:
        return False


def _processes(words: str) -> Iterable[int]:
    """Yield the processes of this lab whose command line has `words`."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue  # it has just ended
            if words.encode() in command:
                yield int(folder.name)
