"""containerd on a machine, configured as docs/standalone.md says, and what this bed needs besides."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import grpc

from tests.runtimes.cri import Cri
from tests.runtimes.handbook import commands, write_files
from tests.runtimes.image import IMAGE, PAUSE, write_archive
from tests.runtimes.machine import SEARCH_PATH, Machine, eventually

CONFIGURATION = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"
OTHER = "/opt/other-containerd"
UNIT = Path("/lib/systemd/system/containerd.service")  # Debian's own
# There is no registry to take Kubernetes' own pause image from, and a bed may lack CAP_SYS_RESOURCE.
BED = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
"""
BED_UNIT = "[Service]\nOOMScoreAdjust=0\nLimitNOFILE=20000\nLimitNPROC=10000\nLimitCORE=0\n"


def start_containerd(machine: Machine, programs: Sequence[Path] = ()) -> Cri:
    """Start containerd with our images in it; return how to speak to it. programs: other than Debian's."""
    machine.write("/etc/systemd/system/containerd.service", UNIT.read_text())
    machine.write("/etc/systemd/system/containerd.service.d/bed.conf", BED_UNIT + _instead(machine, programs))
    write_files(machine, "containerd")
    machine.write(CONFIGURATION, machine.path(CONFIGURATION).read_text() + BED)
    machine.run("systemctl", "daemon-reload")
    for script in commands("containerd"):
        machine.sh(script)
    write_archive(machine.path("/opt/image.tar"), IMAGE, PAUSE)
    machine.run("ctr", "--namespace", "k8s.io", "images", "import", "/opt/image.tar")
    return cri_of(machine)


def _instead(machine: Machine, programs: Sequence[Path]) -> str:
    if not programs:
        return ""
    folder = machine.path(OTHER)
    folder.mkdir(exist_ok=True)
    for program in programs:
        shutil.copy(program, folder)
    return f"ExecStart=\nExecStart={OTHER}/containerd\nEnvironment=PATH={OTHER}:{SEARCH_PATH}\n"


def remove_containerd(machine: Machine) -> None:
    """Stop it and remove what it keeps. Its pods are gone before."""
    machine.sh(
        "systemctl stop containerd; rm -rf /var/lib/containerd/* /run/containerd /etc/systemd/system/containerd*"
    )


def cri_of(machine: Machine) -> Cri:
    """Return how to speak to a containerd, once it answers and has our network."""
    eventually(f"{machine.name} has containerd", machine.live_path(SOCKET).is_socket)
    runtime = Cri(machine.live_path(SOCKET))
    eventually(f"{machine.name}'s network is ready for containerd", lambda: network_trouble(runtime) is None)
    return runtime


def network_trouble(runtime: Cri) -> str | None:
    """Return why the runtime does not take the node's network for ready, None if it does."""
    try:
        return runtime.network_trouble()
    except grpc.RpcError as error:  # it has just been started
        return str(error)
