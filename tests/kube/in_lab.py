"""A Kubernetes API for the nodes of a lab, run in its router: `python -m tests.kube.in_lab FOLDER ADDRESS NODE…`.

All nodes see FOLDER. When `furnished` is in it, so are `kubeconfig` and those of the agents' and viewers' accounts, and
the API has Calico's definitions, the roles, a pool, and a Node for each NODE, as its kubelet would have made it. `pid`
holds the process of the API server, which is started again when it ends. All runs until the lab ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from tests.kube.bed import Bed
from tests.kube.control_plane import ACCOUNTS, ControlPlane, site_here
from tests.kube.roles import install_roles

AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters"]},  # the bed itself, and a crowd: many thousand lines
        {"level": "Metadata"},
    ],
}


async def _furnish(bed: Bed, nodes: list[str]) -> None:
    await bed.install_definitions()
    await install_roles(bed)
    store = bed.open()
    await store.create(IPPool.make("pods", cidr="10.65.0.0/16"))
    for node in nodes:
        await store.create(Node.make(node))
    await store.close()


def main(folder: Path, address: str, nodes: list[str]) -> None:
    (folder / "audit-policy").write_text(json.dumps(AUDIT))
    flags = (f"--audit-policy-file={folder / 'audit-policy'}", f"--audit-log-path={folder / 'audit'}")
    control_plane = ControlPlane(folder, flags, site_here(address))
    control_plane.start()
    asyncio.run(_furnish(Bed(control_plane), nodes))
    for account in ACCOUNTS:
        control_plane.kubeconfig_of(account)
    (folder / "furnished").touch()
    while True:
        (folder / "pid").write_text(str(control_plane.api_server.pid))
        control_plane.api_server.wait()
        control_plane.api_server.start()


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
