"""An agent's Events on a real API server, with the agents' own rights: what `kubectl describe node` shows."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from msgspec.structs import replace

from datastore.kinds.node import Node
from datastore.kube.access import read_access
from datastore.kube.store import KubeStore
from felix_py.node.node_events import SETTLING_SECONDS, NodeEvents
from felix_py.node.node_messages import Moment
from felix_py.status_model import AgentProgress, AgentStatus, HostIssue, HostWarning, SidecarStatus
from tests.felix_py.fake_node import FakeNode
from tests.felix_py.fakes import until
from tests.kube.assets import program
from tests.kube.bed import Bed
from tests.kube.roles import NODE, install_roles

FOREIGN = "another configuration comes first in /etc/cni/net.d: 05-other.conflist"


async def described(bed: Bed) -> list[str]:
    """Return the lines about Events of `kubectl describe node n1`."""
    command = (str(program("kubectl")), "--kubeconfig", str(bed.control_plane.kubeconfig), "describe", "node", "n1")
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    return [" ".join(line.split()) for line in done.stdout.partition("Events:")[2].splitlines() if "felix-py" in line]


async def test_what_is_wrong_and_that_it_is_over_is_seen_at_the_node(bed: Bed, tmp_path: Path) -> None:
    await install_roles(bed)
    admin = bed.open()
    node = await admin.create(Node.make("n1"))
    agents = KubeStore(lambda: read_access(str(bed.control_plane.kubeconfig_of(NODE))))
    warnings: tuple[HostWarning, ...] = (HostWarning(HostIssue.OTHER_NETWORK_FIRST, FOREIGN),)
    seconds = 0.0

    async def status() -> AgentStatus:
        progress = AgentProgress(True, True, True, in_the_way=warnings)
        return AgentStatus("n1", progress=progress, sidecar=SidecarStatus(connected=True))

    one = FakeNode(tmp_path)
    async with one.running() as agent:
        one.store.put(node)
        await until(lambda: agent.snapshot.nodes["n1"].metadata.uid == node.metadata.uid)
        agent.edges = replace(agent.edges, store=agents)
        events = NodeEvents(agent, status, lambda: Moment(1.8e9 + seconds, seconds))
        await events.look()
        seconds = 11.0
        await events.look()
        [warning] = await described(bed)
        assert warning.startswith("Warning OtherNetworkFirst") and FOREIGN in warning

        (tmp_path / "events").unlink()
        again = NodeEvents(agent, status, lambda: Moment(1.8e9 + seconds, seconds))
        await again.look()
        seconds += 11.0
        await again.look()
        [warning] = await described(bed)
        assert "(x2 over" in warning

        warnings, seconds = (), seconds + SETTLING_SECONDS
        await again.look()
        normal, _ = sorted(await described(bed))
        assert normal.startswith("Normal OtherNetworkBehind") and f"over: {FOREIGN}" in normal
    await agents.close()
    await admin.close()
