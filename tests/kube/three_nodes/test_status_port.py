"""Agents' status through a real API server: who may read it, from where, and what is said to whoever may not.

n1, n2, n3    agents with a status port; beside each a Pod of the API with the node's address, as the agent's own has
router        the API server, and felixctl as on a machine that is no node
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kube.cluster import KUBECONFIG, Cluster
from tests.kube.control_plane import user_of
from tests.kube.roles import NODE, STATUS, VIEWER
from tests.scenarios.cluster import until

PORT = 9098
FELIXCTL = f"{sys.executable} -m felixctl"
ADDRESSES = {"n1": "192.0.2.1", "n2": "192.0.2.2", "n3": "192.0.2.3"}


class Watched(Cluster):
    """A cluster whose agents' pods the API knows."""

    def make_agent(self, node: str) -> None:
        """Have the API show the agent of a node as the pod of a DaemonSet that its kubelet runs."""
        spec = {
            "nodeName": node,
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "containers": [{"name": "agent", "image": "none"}],
        }
        labels = {"app.kubernetes.io/name": "felix-py-node"}
        metadata = {"name": f"felix-py-node-{node}", "namespace": "kube-system", "labels": labels}
        metadata["annotations"] = {"felix-py/status-port": str(PORT)}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        self.run_agent(node)

    def run_agent(self, node: str, phase: str = "Running") -> None:
        address = ADDRESSES[node]
        patch = {"status": {"phase": phase, "podIP": address, "podIPs": [{"ip": address}]}}
        name = f"felix-py-node-{node}"
        self.kubectl("patch", "pod", name, "-n", "kube-system", "--subresource=status", "-p", json.dumps(patch))

    def felixctl(self, arguments: str, account: str = VIEWER, place: str = "router") -> str:
        """Return what felixctl prints there, both ways."""
        environment = f"FELIX_DATASTORE=kubernetes://{KUBECONFIG}-{account}"
        return self.lab.run(place, "sh", "-c", f"{environment} {FELIXCTL} {arguments} 2>&1", check=False)

    def ask(self, node: str, page: str, *headers: str) -> str:
        """Return the status and the body of what an agent answers to who connects to its port."""
        lines = "\\r\\n".join((f"GET {page} HTTP/1.0", *headers, "", ""))
        script = (
            f"import socket; s = socket.create_connection(('{ADDRESSES[node]}', {PORT}), 5); s.sendall(b'{lines}');"
            " print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
        )
        head, _, body = self.lab.run("router", sys.executable, "-c", script).replace("\r", "").partition("\n\n")
        return f"{head.split()[1]} {body.strip()}"


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Iterator[Watched]:
    watched = Watched(cluster.lab)
    for node in watched.lab.nodes:
        watched.make_agent(node)
    yield watched
    watched.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "-n", "kube-system")


def test_a_viewer_sees_another_nodes_sessions_and_routes_from_anywhere(cluster: Watched) -> None:
    status = cluster.felixctl("node status --node n2")
    assert "is running on n2, AS 64512." in status
    assert "192.0.2.1" in status and "192.0.2.3" in status and "Established" in status
    cluster.add("shown", "n2")
    routes = cluster.felixctl("routes --node n2")
    assert "pods" in routes and "blackhole" in routes
    assert cluster.felixctl("routes --node n2", place="n1") == routes
    found: Any = json.loads(cluster.felixctl("node status --node n3 -o json"))
    assert found["node"] == "n3"
    cluster.remove("shown")


def test_all_nodes_are_seen_from_one_place(cluster: Watched) -> None:
    def sound() -> bool:
        return "3 nodes: 3 answered, 3 are ready, on 0 something is wrong." in cluster.felixctl("node status --all")

    until(sound, "all is as it should be")
    found = cluster.felixctl("node status --all")
    assert "6 sessions: 6 up, 0 down, 0 held back." in found
    assert [line.split()[:3] for line in found.splitlines() if line.startswith("n")] == [
        [node, "yes", "2/2"] for node in cluster.lab.nodes
    ]
    cluster.run_agent("n3", "Failed")
    cluster.lab.run("n1", "sh", "-c", "kill -STOP $(pgrep --ns $$ --nslist net -f -- '[-]m felix_py')")
    try:
        found = cluster.felixctl("node status --all")
        assert "3 nodes: 1 answered" in found
        assert "n3: none of its pods runs: felix-py-node-n3 (Failed)" in found
        assert re.search(r"n1: .*: no answer within 10 s", found)
        counts = json.loads(cluster.felixctl("node status --all -o json; echo status=$? >&2").partition("status=1")[0])
        assert (counts["counts"]["nodes"], counts["counts"]["answered"]) == (3, 1)
        assert [one["node"] for one in counts["unasked"]] == ["n1", "n3"]
    finally:
        cluster.lab.run("n1", "sh", "-c", "kill -CONT $(pgrep --ns $$ --nslist net -f -- '[-]m felix_py')")
        cluster.run_agent("n3")
    until(sound, "all is as it should be again")


def test_why_asks_the_agents_of_both_ends(cluster: Watched) -> None:
    cluster.add("left", "n1")
    cluster.add("right", "n3")
    for place in ("router", "n1", "n2"):
        found = cluster.felixctl("why left right", place=place)
        assert "learned over the session with 192.0.2.3" in found and "learned over the session with 192.0.2.1" in found
        assert "✓ nothing between default/left and default/right is broken" in found, place
    cluster.remove("left")
    cluster.remove("right")


def test_nobody_else_sees_anything(cluster: Watched) -> None:
    assert cluster.ask("n1", "/felix/status").startswith(
        "403 /felix/status: a token for the audience felix-py is needed"
    )
    api = cluster.kubectl("create", "token", STATUS, "-n", "kube-system").strip()
    assert cluster.ask("n1", "/felix/status", f"Authorization: Bearer {api}").startswith("403 ")
    viewer = cluster.kubectl("create", "token", VIEWER, "-n", "kube-system", "--audience", "felix-py").strip()
    assert "no role lets" in cluster.ask("n1", "/felix/status", f"X-Felix-Token: {viewer}")
    ours = cluster.kubectl("create", "token", STATUS, "-n", "kube-system", "--audience", "felix-py").strip()
    assert cluster.ask("n1", "/felix/status", f"Authorization: Bearer {ours}").startswith("200 ")
    assert cluster.ask("n1", "/felix/status", f"X-Felix-Token: {ours[:-4]}AAAA").startswith(
        "403 /felix/status: the API server does not accept the token"
    )
    for page in ("/metrics", "/status", "/healthz", "/felix/metrics"):
        assert cluster.ask("n1", page, f"X-Felix-Token: {ours}").startswith("404 "), page
    default = cluster.kubectl("create", "token", "default", "-n", "default", "--audience", "felix-py", check=False)
    assert default == "" or "no role lets" in cluster.ask("n1", "/felix/status", f"X-Felix-Token: {default.strip()}")


def test_who_lacks_a_right_hears_which(cluster: Watched) -> None:
    assert "ask for a token of the service account kube-system/felix-py-status: " in cluster.felixctl(
        "routes --node n2", account=NODE
    )
    role = ("clusterrole", STATUS)
    rules = cluster.get(*role)["rules"]
    change = [{"op": "replace", "path": "/rules", "value": []}]
    cluster.kubectl("patch", *role, "--type=json", "-p", json.dumps(change))
    try:
        until(lambda: "no role lets" in cluster.felixctl("routes --node n2"), "the right is gone")
        said = cluster.felixctl("routes --node n2")
        assert f"no role lets {user_of(STATUS)} get it" in said
    finally:
        change = [{"op": "replace", "path": "/rules", "value": rules}]
        cluster.kubectl("patch", *role, "--type=json", "-p", json.dumps(change))
    until(lambda: "blackhole" in cluster.felixctl("routes --node n2"), "the right is back")


def test_what_kubectl_can_say_of_the_right(cluster: Watched) -> None:
    asked = ("auth", "can-i", "get", "/felix/status", "--as")
    assert cluster.kubectl(*asked, user_of(STATUS), check=False) == "yes\n"
    for account in (NODE, VIEWER):
        assert cluster.kubectl(*asked, user_of(account), check=False) == "no\n"


def test_a_node_without_an_agent_is_named_with_the_reason(cluster: Watched) -> None:
    assert "no agent of felix-py runs there" in cluster.felixctl("routes --node n9")
    cluster.run_agent("n3", "Pending")
    assert "none of its pods runs: felix-py-node-n3 (Pending)" in cluster.felixctl("routes --node n3")
    cluster.run_agent("n3")
