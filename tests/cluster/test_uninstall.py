"""A cluster whose pods have run on felix-py is left without a trace of it, as docs/install.md says."""

from __future__ import annotations

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.installation import MANIFESTS, NAMESPACE, TAG, apply
from tests.cluster.pings import running_pods
from tests.cluster.workloads import deployment

pytestmark = pytest.mark.long

UNINSTALL = "daemonset/felix-py-uninstall"
PODS = 9
FILES = ("/opt/cni/bin/felix", "/etc/cni/net.d/10-felix.conflist", "/var/lib/felix", "/var/lib/calico", "/run/felix")


def test_nothing_is_left_on_a_node(spent: Cluster) -> None:
    made = spent
    made.kubectl.apply(deployment("web", PODS))
    made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl)))
    assert all(left_on(made, name) for name in made.names)
    made.kubectl("delete", "daemonset/felix-py-node", "deployment/felix-py-controller", f"--namespace={NAMESPACE}")
    installed = apply(made, TAG, MANIFESTS / "uninstall")
    made.until("nodes refuse, as pods are attached", len(made.names), lambda: refusals(made))
    installed_again = apply(made, TAG)
    made.kubectl("delete", "--kustomize", str(installed))
    made.kubectl("rollout", "status", "daemonset/felix-py-node", f"--namespace={NAMESPACE}", "--timeout=120s")
    drain = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
    made.kubectl("drain", "--selector=kubernetes.io/os=linux", *drain)
    made.kubectl("delete", "daemonset/felix-py-node", "deployment/felix-py-controller", f"--namespace={NAMESPACE}")
    apply(made, TAG, MANIFESTS / "uninstall")
    made.kubectl("rollout", "status", UNINSTALL, f"--namespace={NAMESPACE}", "--timeout=180s")
    assert [left_on(made, name) for name in made.names] == [[] for _ in made.names]
    made.kubectl("delete", "--kustomize", str(installed))
    made.kubectl("delete", "--ignore-not-found", "--kustomize", str(installed_again))
    made.kubectl("delete", "lease", "felix-py-controller", f"--namespace={NAMESPACE}")
    kinds = "pods,daemonsets,deployments,configmaps,serviceaccounts,roles,rolebindings,leases"
    made.until("all is gone", 1, lambda: "felix" not in made.kubectl("get", kinds, f"--namespace={NAMESPACE}"))


def refusals(made: Cluster) -> int:
    """Return on how many nodes the log of the uninstalling container names pods."""
    which = ("--selector=app.kubernetes.io/name=felix-py-uninstall", f"--namespace={NAMESPACE}")
    said = made.kubectl("logs", *which, "--container=uninstall", "--tail=5", "--ignore-errors")
    return said.count("pods are attached (")


def left_on(made: Cluster, name: str) -> list[str]:
    """Return what a node has of ours, one phrase each. Folders that the container had mounted stay, empty."""
    machine = made.nodes[name].machine
    routes = machine.run("ip", "route", "show", "metric", "1030")
    tables = machine.run("nft", "list", "tables")
    devices = machine.run("ip", "-o", "link", "show")
    places = {file: machine.live_path(file) for file in FILES}
    files = [file for file, place in places.items() if place.is_file() or (place.is_dir() and any(place.iterdir()))]
    return [
        *files,
        *(f"route {line}" for line in routes.splitlines()),
        *(f"nftables {line}" for line in tables.splitlines() if "felix" in line),
        *(f"device {line}" for line in devices.splitlines() if "cali" in line),
    ]
