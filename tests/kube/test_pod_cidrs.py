"""Three nodes whose pods have addresses of their Node's podCIDR, given by Debian's `host-local`, on a real API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.cluster import KUBECONFIG, PROGRAMS, Cluster, cluster_of
from tests.kube.roles import NODE as AGENTS
from tests.scenarios.cluster import three_nodes, until

PLUGINS = PROGRAMS / "plugins"
POD_CIDRS = {"n1": "10.65.1.0/24", "n2": "10.65.2.0/24", "n3": "10.65.3.0/24"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    PLUGINS.mkdir(parents=True, exist_ok=True)
    shutil.copy2(Path("/usr/lib/cni/host-local"), PLUGINS)
    store = f"kubernetes://{KUBECONFIG}-{AGENTS}"
    spec = three_nodes(FELIX_DATASTORE=store, FELIX_CNIBINDIR=str(PLUGINS), USE_POD_CIDR="true")
    with cluster_of(tmp_path_factory.mktemp("lab"), nodes=spec["nodes"]) as found:
        yield found


def test_pods_reach_each_other_by_what_kubernetes_gave_their_nodes(cluster: Cluster) -> None:
    """A node that has none yet attaches no pod; what it is given later is announced whole, and IPAM claims nothing."""
    lab = cluster.lab
    assert "the Node n1 has no podCIDR of IPv4" in cluster.tried("n1")
    for node, network in POD_CIDRS.items():
        given = json.dumps({"spec": {"podCIDR": network, "podCIDRs": [network]}})
        cluster.kubectl("patch", "node", node, "-p", given)
    addresses = {}
    for node, network in POD_CIDRS.items():
        until(lambda node=node, network=network: f"blackhole {network}" in lab.routes(node), "it is a block")  # type: ignore[misc]
        addresses[node] = cluster.add(f"web-{node}", node)
        assert addresses[node] == network.replace(".0/24", ".2")
    until(lambda: not lab.lost_pings(), "every pod reaches every other")
    assert POD_CIDRS["n2"] in lab.routes("n1", "proto", "81") and addresses["n2"] not in lab.routes("n1")
    before = {node: lab.routes(node) for node in lab.nodes}
    lab.ask("kill", node="n1", what="agent")
    until(lab.settled, "the agent is back, and its invariants hold")
    assert lab.routes("n1") == before["n1"]
    for kind in ("ipamblocks", "blockaffinities", "ipamhandles"):
        assert cluster.get(kind)["items"] == []
    for node in lab.nodes:
        cluster.remove(f"web-{node}")
    kept = lab.run("n1", "ls", "/var/lib/cni/networks/k8s-pod-network").split()
    assert not [name for name in kept if name[0].isdigit()]
