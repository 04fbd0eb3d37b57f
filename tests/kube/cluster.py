"""A lab whose datastore is a real Kubernetes API: agents, plugin, sidecars and pods as they are."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.kube import assets
from tests.kube.roles import NODE as AGENTS
from tests.scenarios.cluster import Lab, Refused, lab_of, three_nodes, until

TREE = Path(__file__).parents[2]
FOLDER = "/srv/felix/kube"
KUBECONFIG = f"{FOLDER}/kubeconfig"
ROUTER = "192.0.2.254"
PROGRAMS = TREE / "build" / "kube"
"""Where a lab finds the API server: it sees the tree, not the cache."""


class Cluster:
    """The lab, and its API by kubectl."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        command = (str(PROGRAMS / "kubectl"), "--kubeconfig", KUBECONFIG, *arguments)
        return self.lab.run("router", *command, check=check)

    def get(self, *what: str) -> Any:
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def make_pod(self, name: str, node: str, **annotations: str) -> None:
        """Have a pod scheduled on a node, as an API server shows it to the kubelet there. annotations: Calico's."""
        spec = {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "none"}],
        }
        named = {f"cni.projectcalico.org/{key}": text for key, text in annotations.items()}
        metadata = {"name": name, "namespace": "default", "annotations": named}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def apply(self, record: dict[str, Any]) -> None:
        kubectl = f"{PROGRAMS}/kubectl --kubeconfig {KUBECONFIG} apply -f -"
        self.lab.run("router", "sh", "-ec", f"echo '{json.dumps(record)}' | {kubectl}")

    def add(self, name: str, node: str) -> str:
        """Have a pod scheduled and attached; return its address."""
        self.make_pod(name, node)
        uid = self.get("pod", name)["metadata"]["uid"]
        return str(self.lab.ask("pod add", node=node, pod=name, uid=uid)["addresses"][0])

    def attach(self, name: str, node: str) -> None:
        """Have a scheduled pod attached, tried again as a kubelet does while the answer is code 11."""
        uid = self.get("pod", name)["metadata"]["uid"]

        def attached() -> bool:
            try:
                self.lab.ask("pod add", node=node, pod=name, uid=uid)
            except Refused as refused:
                if "(code 11)" not in str(refused):
                    raise
                return False
            return True

        until(attached, f"{name} is attached to {node}")

    def remove(self, name: str) -> None:
        """Have a pod detached and deleted, as a kubelet does."""
        self.lab.ask("pod del", pod=name)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Have a pod deleted, whatever runs of it."""
        self.kubectl("delete", "pod", name, "--force", "--grace-period=0", "-n", "default")

    def address_on(self, name: str) -> str | None:
        """Return the address that is written on a pod."""
        metadata = self.get("pod", name)["metadata"]
        found: str | None = metadata.get("annotations", {}).get("cni.projectcalico.org/podIP")
        return found

    def tried(self, node: str, **annotations: str) -> str:
        """Attach a pod and detach it again; return its address, or why it got none."""
        self.make_pod("tried", node, **annotations)
        try:
            address = str(self.lab.ask("pod add", node=node, pod="tried")["addresses"][0])
        except Refused as refused:
            self.delete("tried")
            return str(refused)
        self.remove("tried")
        return address

    @contextmanager
    def agents_may_not_write_on_pods(self) -> Iterator[None]:
        """Take that right away from all agents meanwhile."""
        rules = self.get("clusterrole", AGENTS)["rules"]
        [number] = [number for number, rule in enumerate(rules) if "pods/status" in rule["resources"]]
        asked = ("auth", "can-i", "patch", "pods", "--subresource=status", "--as", AGENTS)

        def allow(*resources: str) -> None:
            patch = [{"op": "replace", "path": f"/rules/{number}/resources", "value": resources}]
            self.kubectl("patch", "clusterrole", AGENTS, "--type=json", "-p", json.dumps(patch))

        allow("nodes/status")
        until(lambda: "no" in self.kubectl(*asked, check=False), "the right is gone")
        try:
            yield
        finally:
            allow(*rules[number]["resources"])

    @contextmanager
    def log_of(self, node: str) -> Iterator[Callable[[], str]]:
        """Yield what returns what a node's agent has logged since."""

        def read() -> str:
            return self.lab.run(node, "cat", "/var/log/agent.log")

        before = len(read())
        yield lambda: read()[before:]

    def signal_api_server(self, name: str) -> None:
        self.lab.run("router", "sh", "-ec", f"kill -{name} $(cat {FOLDER}/pid)")

    def requests(self) -> Counter[str]:
        """Return how often agents asked for what, as the API server's audit log has it: `create ipamhandles`.

        The log leaves out who administers the cluster.
        """
        lines, _, _ = self.lab.run("router", "cat", f"{FOLDER}/audit").rpartition("\n")  # what follows is not whole yet
        events = map(json.loads, lines.splitlines())
        ours = [one for one in events if one.get("userAgent") == "felix-py" and "objectRef" in one]
        return Counter(f"{one['verb']} {one['objectRef']['resource']}" for one in ours)


@contextmanager
def cluster_of(
    folder: Path, programs: Iterable[str] = (), settings_of: Mapping[str, Mapping[str, str]] = {}, **more: Any
) -> Iterator[Cluster]:
    """Bring up three nodes whose agents have the node's role, and no more.

    programs: which of the bed's the lab is to have beside those of an API. settings_of: a node, by its name, beside
    those of all. more: what else the lab's spec has.
    """
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    for name in (*assets.GROUPS["api"], *programs):
        if not (PROGRAMS / name).exists():
            shutil.copy2(assets.program(name), PROGRAMS / name)
    spec = three_nodes(pods=0, FELIX_DATASTORE=f"kubernetes://{KUBECONFIG}-{AGENTS}")
    for node in spec["nodes"]:
        node["settings"] = {**node["settings"], **settings_of.get(node["name"], {})}
    with lab_of({**spec, **more}, folder, give_up_seconds=0.1) as lab:
        # Without an API to be found an agent ends, and is started anew and anew: most of what such a lab cost.
        for node in lab.nodes:
            until(partial(_is_signalled, lab, node, "SIGSTOP"), f"the agent of {node} waits")
        command = f"setsid {sys.executable} -m tests.kube.in_lab {FOLDER} {ROUTER} {' '.join(lab.nodes)}"
        within = f"cd {TREE}; KUBEBUILDER_ASSETS={PROGRAMS} {command} >{FOLDER}/log 2>&1 &"
        lab.run("router", "sh", "-ec", f"mkdir -p {FOLDER}; {within}")
        until(lambda: lab.run("router", "sh", "-c", f"ls {FOLDER}/furnished", check=False), "the API is furnished")
        for node in lab.nodes:
            until(partial(_is_signalled, lab, node, "SIGKILL"), f"the agent of {node} starts anew")
        until(lab.settled, "the agents are ready and their sessions are up")
        yield Cluster(lab)


def _is_signalled(lab: Lab, node: str, signal: str) -> bool:
    """Send a signal to the agent of a node; False if it has ended, and is about to be started again."""
    try:
        lab.ask("kill", node=node, what="agent", signal=signal)
    except Refused:
        return False
    return True
