"""A node of the cluster: a plain machine whose systemd runs containerd 2, a kubelet and a kube-proxy.

It has no network for pods. What brings one finds the usual paths, with the reference plugins in /opt/cni/bin.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.addresses import GATEWAY_6, Addresses
from tests.cluster.control_plane import ClusterControlPlane
from tests.cluster.image_store import copy
from tests.kube import assets
from tests.runtimes.containerd import SOCKET
from tests.runtimes.image import PAUSE
from tests.runtimes.machine import SEARCH_PATH, UNITS, Machine, eventually

PROXY_MODES = ("iptables", "nftables")
PLUGINS = Path("/usr/lib/cni")
OF_KUBERNETES = ("bandwidth", "bridge", "host-local", "loopback", "portmap", "ptp")
"""The reference plugins that a node has in /opt/cni/bin, as Kubernetes' own package of them would put them there."""
_CONFIGURATION = "/etc/kubernetes"

_CONTAINERD = f"""version = 3
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true  # a bed may lack CAP_SYS_RESOURCE
"""
_KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    # Whoever is on the switch's network is one of the tests.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    # The machine's cgroups are as this host's, which may still be of version 1.
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "failSwapOn": False,
    "oomScoreAdj": 0,
    "resolvConf": "",
    "maxPods": 250,
    # This host's disk may be as full as it is.
    "evictionHard": {
        "memory.available": "1Mi",
        "nodefs.available": "0%",
        "nodefs.inodesFree": "0%",
        "imagefs.available": "0%",
    },
    "imageGCHighThresholdPercent": 100,
    "nodeStatusUpdateFrequency": "2s",
    "serializeImagePulls": False,
    "registryPullQPS": 0,
    "kubeAPIQPS": 500,
    "kubeAPIBurst": 1000,
    "shutdownGracePeriod": "0s",
}
_STAND_INS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet sets for the whole machine, which is this host: it finds that done, in files of the node's own."""


class ClusterNode:
    """One node. Its services log to /var/log/NAME.log there."""

    def __init__(
        self, machine: Machine, control_plane: ClusterControlPlane, addresses: Addresses, proxy_mode: str = "iptables"
    ) -> None:
        self.machine = machine
        self.name, self.address = machine.name, machine.address
        self.addresses = addresses.of_node(machine.name)
        self._pods = addresses.pods
        _write_services(machine, control_plane, self.addresses)
        self._write_proxy(proxy_mode)

    def power_on(self) -> None:
        """Have the machine boot. Call it in the main thread: the machine ends with its thread."""
        self.machine.power_on()

    def wait_until_up(self) -> None:
        """Return when the machine has booted; none of Kubernetes is started."""
        self.machine.wait_until_up()
        self.machine.sh("\n".join(f"mount --bind /opt/sys/{name} /proc/sys/{name}" for name in _STAND_INS))
        for address in self.addresses[1:]:
            self.machine.run("ip", "address", "add", f"{address}/64", "dev", "eth0", "nodad")
            self.machine.run("ip", "route", "add", "default", "via", GATEWAY_6)

    def start(self, images: Path) -> None:
        """Start the services, in order, with the images of a store."""
        copy(images, self.machine.path("/var/lib/containerd"))
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", "containerd")
        eventually(f"{self.name} has containerd", self.machine.live_path(SOCKET).is_socket)
        self.machine.run("systemctl", "start", "kubelet", "kube-proxy")

    def load(self, archive: Path) -> None:
        """Import an archive of images, of docker's format."""
        self.machine.run(str(assets.program("ctr")), "--namespace", "k8s.io", "images", "import", str(archive))

    def restart(self, service: str) -> None:
        self.machine.run("systemctl", "restart", service)

    def set_proxy_mode(self, mode: str) -> None:
        """Have another kube-proxy, which removes the rules of the one before."""
        self._write_proxy(mode)
        self.machine.run("systemctl", "daemon-reload")
        self.restart("kube-proxy")

    def kill(self, *words: str) -> None:
        """Kill -9 the processes whose command line has these words; a kubelet starts its containers again."""
        self.machine.run("pkill", "--signal", "KILL", "--full", " ".join(words))

    def power_cut(self) -> None:
        """End everything at once, for good: its disk is removed, too."""
        self.machine.power_cut()
        self.machine.discard()

    def log(self, service: str) -> str:
        return self.machine.path(f"/var/log/{service}.log").read_text(errors="replace")

    def _write_proxy(self, mode: str) -> None:
        _write_service(
            self.machine,
            "kube-proxy",
            f"--kubeconfig={_CONFIGURATION}/kube-proxy.conf --proxy-mode={mode}",
            f"--hostname-override={self.name} --cluster-cidr={self._pods}",
            # These are settings of the whole machine, which is this host.
            "--conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0",
        )


def _write_services(machine: Machine, control_plane: ClusterControlPlane, addresses: Sequence[str]) -> None:
    name = machine.name
    plugins = machine.path("/opt/cni/bin")
    plugins.mkdir(parents=True, exist_ok=True)
    for plugin in OF_KUBERNETES:
        shutil.copy2(PLUGINS / plugin, plugins)
    for path, text in _STAND_INS.items():
        machine.write(f"/opt/sys/{path}", text)
    machine.write("/etc/containerd/config.toml", _CONTAINERD)
    machine.write(f"{_CONFIGURATION}/kubelet", json.dumps(_KUBELET))
    machine.write(f"{_CONFIGURATION}/kubelet.conf", control_plane.kubeconfig_of(name))
    machine.write(f"{_CONFIGURATION}/kube-proxy.conf", control_plane.kubeconfig_of("admin"))
    _write_service(machine, "containerd")
    _write_service(
        machine,
        "kubelet",
        f"--config={_CONFIGURATION}/kubelet --kubeconfig={_CONFIGURATION}/kubelet.conf",
        f"--hostname-override={name} --node-ip={','.join(addresses)} --cert-dir=/var/lib/kubelet/pki",
    )


def _write_service(machine: Machine, service: str, *arguments: str) -> None:
    unit = f"""[Service]
ExecStart={" ".join((str(assets.program(service)), *arguments))}
Environment=PATH={assets.folder()}:{SEARCH_PATH}
StandardOutput=append:/var/log/{service}.log
StandardError=inherit
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
LimitNOFILE=20000
"""
    machine.write(f"{UNITS}/{service}.service", unit)
