"""Our plugin on a node, run by hand as the node's runtime runs it, and its pods' sandboxes."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.node import ClusterNode
from tests.kube.assets import program

CONFLIST, PLUGIN = "/etc/cni/net.d/10-felix.conflist", "/opt/cni/bin/felix"
_NETNS, _CONTAINER = "/run/by-hand", "felix-by-hand"


def try_add(node: ClusterNode) -> dict[str, Any]:
    """Return what an ADD of a pod that there is not prints: an error of the CNI specification."""
    run = node.machine.run
    network = json.loads(run("cat", CONFLIST))
    first, *_ = network["plugins"]
    asked = {"cniVersion": network["cniVersion"], "name": network["name"], **first}
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": _CONTAINER,
        "CNI_NETNS": _NETNS,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
        "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={_CONTAINER}",
    }
    # `ip netns add` would mount /run/netns anew, over the namespaces that the runtime has there.
    run("touch", _NETNS)
    run("unshare", f"--net={_NETNS}", "true")
    try:
        answered = node.machine.try_run(PLUGIN, feed=json.dumps(asked), environment=environment)
    finally:
        run("umount", _NETNS)
    found: dict[str, Any] = json.loads(answered.stdout)
    return found


def kill_sandbox(node: ClusterNode, pod: str) -> None:
    """Kill what holds a pod's namespaces: its kubelet has the pod taken down, and made anew."""
    ctr = (str(program("ctr")), "--namespace=k8s.io")
    labels = {"io.kubernetes.pod.name": pod, "io.cri-containerd.kind": "sandbox"}
    chosen = ",".join(f'labels."{label}"=={value}' for label, value in labels.items())
    sandboxes = node.machine.run(*ctr, "containers", "list", "--quiet", chosen).split()
    running = node.machine.run(*ctr, "tasks", "list", "--quiet").split()
    [sandbox] = {*sandboxes} & {*running}  # ended ones are kept for a while
    node.machine.run(*ctr, "tasks", "kill", "--signal=SIGKILL", sandbox)


def waiting_releases(node: ClusterNode) -> int:
    """Return how many DELs that succeeded are on the node's disk to be carried out, noted by agent or plugin."""
    noted = node.machine.sh("cat /var/lib/felix/released.journal 2>/dev/null || true; ls /var/lib/felix/deletes")
    return sum(bool(line.strip()) for line in noted.splitlines())
