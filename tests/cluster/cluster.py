"""A real Kubernetes on this machine: a control plane, and nodes with kubelets that run pods.

      192.0.2.250 control plane ─┐
      192.0.2.1   node n1       ─┤ switch
      192.0.2.2   node n2 …     ─┤
      192.0.2.254 the outside   ─┘   every node's gateway; it also has 198.51.100.1

Nodes are namespaces that systemd runs (tests/runtimes/machine.py), so a node that loses its power leaves no process and
no mount. Nothing of a cluster outlives the process that made it but cgroups and its folder, which its end removes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lab.leftovers import namespaces_of
from lab.progress import OnProgress
from tests.cluster.addresses import GATEWAY_6, Addresses
from tests.cluster.control_plane import ClusterControlPlane
from tests.cluster.image_store import prepare
from tests.cluster.kubectl import Kubectl
from tests.cluster.node import ClusterNode
from tests.runtimes.machine import GATEWAY, Machine, NetworkNamespace, Switch, remove_leftovers

OUTSIDE, OUTSIDE_6 = "198.51.100.1", "2001:db8:51::1"
"""Addresses beyond the nodes' gateway, which knows no route to pods."""
PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.2


class ClusterError(Exception):
    """The cluster does not become what it should; the message says what was waited for, and what was there instead."""


class Cluster:
    """Nodes n1, n2, …, of which none has a network for pods until something is installed."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        proxy_mode: str,
        images: Sequence[Path],
        addresses: Addresses,
        on_progress: OnProgress,
    ) -> None:
        self._images = [*images]
        self.names = tuple(f"n{number}" for number in range(1, nodes + 1))
        self.nodes: dict[str, ClusterNode] = {}
        self.folder, self._proxy_mode, self.progress = folder, proxy_mode, on_progress
        self._addresses = addresses
        self._switch = Switch()
        self.outside = NetworkNamespace()
        self._switch.plug(self.outside.pid, GATEWAY)
        self.outside.run("ip", "addr", "add", OUTSIDE, "dev", "lo")
        if addresses.dual_stack:
            self.outside.run("ip", "addr", "add", f"{GATEWAY_6}/64", "dev", "eth0", "nodad")
            self.outside.run("ip", "addr", "add", OUTSIDE_6, "dev", "lo")
        self.control_plane = ClusterControlPlane(folder, self._switch, self.names, addresses)
        self.kubectl = Kubectl(self.control_plane.kubeconfig)

    def start(self) -> None:
        """Return when every node has registered itself. Call it in the main thread, with which machines end."""
        self.progress("images are unpacked", 0, 1)
        self._store = prepare(self._images)
        self.progress("the control plane is ready", 0, 1)
        for name in self.names:
            self._power_on(name)
        self.control_plane.start()
        self.progress("the control plane is ready", 1, 1)
        self.kubectl.apply(_kubeadm(self._addresses))
        for number, node in enumerate(self.nodes.values()):
            self.progress("nodes have booted", number, len(self.names))
            node.wait_until_up()
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda node: node.start(self._store), self.nodes.values()))
        self.until("nodes are registered", len(self.names), lambda: len(self.kubectl.get("nodes")["items"]))

    def power_cut(self, name: str) -> None:
        """End a node at once, for good."""
        self.nodes.pop(name).power_cut()

    def add(self, name: str) -> None:
        """Have a node of this name, and of the address that goes with it, on an empty machine."""
        node = self._power_on(name)
        node.wait_until_up()
        node.start(self._store)

    def load(self, archive: Path) -> None:
        """Have an archive of images on all nodes, and on those to come."""
        self._images.append(archive)
        self._store = prepare(self._images)
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lambda node: node.load(archive), self.nodes.values()))

    def until(self, what: str, wanted: int, seen: Callable[[], int], seconds: float = PATIENCE_SECONDS) -> None:
        """Look until as many are there as wanted, and report each step. Raises ClusterError: they are not, so long."""
        deadline, last = time.monotonic() + seconds, -1
        while last < wanted:
            if (now := seen()) != last:
                self.progress(what, now, wanted)
                last = now
            if last < wanted:
                if time.monotonic() > deadline:
                    raise ClusterError(f"{what}: {last} of {wanted} after {seconds:.0f} s")
                time.sleep(_LOOK_SECONDS)

    def namespaces(self) -> frozenset[str]:
        """Return the namespaces that it has and this host has not, as `namespaces_of` names them."""
        own = namespaces_of(os.getpid())
        pids = (self.outside.pid, self.control_plane.pid, *(node.machine.pid for node in self.nodes.values()))
        return frozenset(name for pid in pids for name in namespaces_of(pid)) - own

    def stop(self) -> None:
        """End all of it, whatever has been started."""
        with ExitStack() as ends:
            ends.callback(self._switch.end)
            ends.callback(self.outside.end)
            ends.callback(self.control_plane.stop)
            with ThreadPoolExecutor() as at_once:
                list(at_once.map(lambda node: node.power_cut(), self.nodes.values()))

    def _power_on(self, name: str) -> ClusterNode:
        address, *_ = self._addresses.of_node(name)
        machine = Machine(name, address, self.folder, self.folder / "shared", self._switch)
        self.nodes[name] = node = ClusterNode(machine, self.control_plane, self._addresses, self._proxy_mode)
        node.power_on()
        return node


@contextmanager
def cluster(
    folder: Path,
    nodes: int = 3,
    proxy_mode: str = "iptables",
    images: Sequence[Path] = (),
    dual_stack: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Iterator[Cluster]:
    """Yield a cluster whose nodes wait for a network; end it, whatever happens.

    folder: made for it, and removed. images: archives of them that all nodes have.
    """
    remove_leftovers()
    (folder / "shared").mkdir(parents=True)
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder)
        made = Cluster(folder, nodes, proxy_mode, images, Addresses(dual_stack), on_progress)
        ends.callback(made.stop)
        made.start()
        yield made


def _kubeadm(addresses: Addresses) -> dict[str, object]:
    """Return what kubeadm notes of a cluster that it makes."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
        "data": {"ClusterConfiguration": f"kind: ClusterConfiguration\nnetworking:\n  podSubnet: {addresses.pods}\n"},
    }
