"""The control plane of a cluster with nodes: what tests/kube starts, with controllers, in a namespace of its own.

this host                    │ the switch's network
─────────────────────────────┼──────────────────────────────────────────────────────
kubectl ─► localhost:DOOR ───┼─► 192.0.2.250:6443 kube-apiserver ◄─ n1 … (kubelets)
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.cluster.addresses import Addresses
from tests.kube.control_plane import ControlPlane, Program, Site, kubeconfig
from tests.runtimes.machine import DIES_WITH_US, NetworkNamespace, Switch

ADDRESS, PORT = "192.0.2.250", 6443
_FORWARDER = "/lib/systemd/systemd-socket-proxyd"
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "userGroups": ["system:nodes"],
            "verbs": ["watch"],
            "resources": [{"group": "", "resources": ["pods"]}],
        },
        {"level": "None"},
    ],
}
"""Of all requests only those by which kubelets hear of their pods are noted."""
_OFTEN = ("--kube-api-qps=500", "--kube-api-burst=1000")
"""Controllers limit themselves to 20 requests a second unless told otherwise."""


class ClusterControlPlane:
    """etcd, API server, controller-manager and scheduler at ADDRESS, and a door to them on this host's loopback."""

    def __init__(self, folder: Path, switch: Switch, nodes: Sequence[str], addresses: Addresses) -> None:
        """nodes: who may have a kubelet; the token of each is its name."""
        self._addresses = addresses
        self._namespace = NetworkNamespace()
        switch.plug(self._namespace.pid, ADDRESS)
        self._door = Door(self._namespace, f"{ADDRESS}:{PORT}", folder / "door.log")
        site = Site(
            # The certificate that the API server makes for itself has this name, and no address of the loopback.
            url=f"https://localhost:{self._door.port}",
            listen="0.0.0.0",
            port=PORT,
            etcd_ports=(2379, 2380),
            advertised=ADDRESS,
            enter=(*DIES_WITH_US, *self._namespace.inside()),
            accounts=tuple(f"{name},system:node:{name},{name},system:nodes" for name in nodes),
            pods_have_tokens=True,
        )
        self._folder, self._audit = folder, folder / "audit"
        policy = folder / "audit-policy"
        policy.write_text(json.dumps(_AUDIT))
        flags = (
            *("--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP"),
            f"--service-cluster-ip-range={addresses.services}",
            *(f"--audit-policy-file={policy}", f"--audit-log-path={self._audit}"),
        )
        self.api = ControlPlane(folder, flags, site)
        self._controllers = self._make_controllers()

    @property
    def pid(self) -> int:
        """A process in its network namespace."""
        return self._namespace.pid

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for this host."""
        return self.api.kubeconfig

    def kubeconfig_of(self, token: str) -> str:
        """Return the configuration of a client on the switch's network. The certificate is in it."""
        configuration = kubeconfig(f"https://{ADDRESS}:{PORT}", self.api.certificate, token)
        return json.dumps(configuration)

    def began_watching(self, since: datetime) -> dict[str, datetime]:
        """Return when the kubelet of each node that has done so since a moment began to hear of its pods."""
        began: dict[str, datetime] = {}
        lines, _, _ = self._audit.read_text().rpartition("\n")  # what follows is not whole yet
        for line in lines.splitlines():
            event = json.loads(line)
            at = datetime.fromisoformat(event["stageTimestamp"])
            if event["stage"] == "ResponseStarted" and event["responseStatus"]["code"] == 200 and at >= since:
                began.setdefault(event["user"]["username"].removeprefix("system:node:"), at)
        return began

    def start(self) -> None:
        """Raises ControlPlaneError."""
        self.api.start()
        self._folder.joinpath("controllers").write_text(self.kubeconfig_of("admin"))
        for program in self._controllers:
            program.start()

    def stop(self) -> None:
        for program in self._controllers:
            program.end()
        self.api.stop()
        self._door.close()
        self._namespace.end()

    def _make_controllers(self) -> tuple[Program, Program]:
        configuration, addresses = str(self._folder / "controllers"), self._addresses
        key, certificate = self._folder / "accounts.key", self.api.certificate
        return (
            self.api.make_program(
                "kube-controller-manager",
                *(f"--kubeconfig={configuration}", "--leader-elect=false", "--bind-address=127.0.0.1"),
                "--allocate-node-cidrs=true",
                *(f"--cluster-cidr={addresses.pods}", f"--service-cluster-ip-range={addresses.services}"),
                *(f"--service-account-private-key-file={key}", f"--root-ca-file={certificate}"),
                *_OFTEN,
            ),
            self.api.make_program(
                "kube-scheduler",
                *(f"--kubeconfig={configuration}", "--leader-elect=false", "--bind-address=127.0.0.1"),
                *_OFTEN,
            ),
        )


class Door:
    """A port of this host's loopback that leads to an address of another namespace, by systemd's forwarder."""

    def __init__(self, namespace: NetworkNamespace, target: str, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as written:
            self.port: int = listening.getsockname()[1]
            # As a service of systemd's it is started with SIGPIPE ignored: else a connection that breaks ends it.
            forward = (
                f"trap '' PIPE; exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec {_FORWARDER} {target}"
            )
            command = [*DIES_WITH_US, *namespace.inside(), "sh", "-c", forward]
            self._process = subprocess.Popen(command, stdin=listening.fileno(), stderr=written)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
