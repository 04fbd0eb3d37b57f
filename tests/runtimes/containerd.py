"""containerd on a machine, configured as docs/standalone.md says, and what this bed needs besides."""

from __future__ import annotations

from pathlib import Path

from tests.runtimes.cri import Cri
from tests.runtimes.handbook import commands, write_files
from tests.runtimes.image import IMAGE, PAUSE, write_archive
from tests.runtimes.machine import Machine, eventually

CONFIGURATION = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"
UNIT = Path("/lib/systemd/system/containerd.service")  # Debian's own
# There is no registry to take Kubernetes' own pause image from, and a bed may lack CAP_SYS_RESOURCE.
BED = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
"""
BED_UNIT = "[Service]\nOOMScoreAdjust=0\nLimitNOFILE=20000\nLimitNPROC=10000\nLimitCORE=0\n"


def start_containerd(machine: Machine) -> Cri:
    """Start containerd with our images in it; return how to speak to it."""
    machine.write("/etc/systemd/system/containerd.service", UNIT.read_text())
    machine.write("/etc/systemd/system/containerd.service.d/bed.conf", BED_UNIT)
    write_files(machine, "containerd")
    machine.write(CONFIGURATION, machine.path(CONFIGURATION).read_text() + BED)
    machine.run("systemctl", "daemon-reload")
    for script in commands("containerd"):
        machine.sh(script)
    write_archive(machine.path("/opt/image.tar"), IMAGE, PAUSE)
    machine.run("ctr", "--namespace", "k8s.io", "images", "import", "/opt/image.tar")
    return cri_of(machine)


def cri_of(machine: Machine) -> Cri:
    runtime = Cri(machine.live_path(SOCKET))
    eventually(f"{machine.name}'s network is ready for containerd", lambda: runtime.network_trouble() is None)
    return runtime
