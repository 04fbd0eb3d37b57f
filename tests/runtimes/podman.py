"""podman on a machine, configured as docs/standalone.md says, and what this bed needs besides."""

from __future__ import annotations

from tests.runtimes.handbook import commands, write_files
from tests.runtimes.image import IMAGE, write_archive
from tests.runtimes.machine import Machine

CONFIGURATION = "/etc/containers/containers.conf"
# Limits that may be set without CAP_SYS_RESOURCE; crun refuses hosts with both kinds of cgroups.
BED = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


def prepare_podman(machine: Machine) -> None:
    """Give podman its configuration, the page's second network, and our image."""
    write_files(machine, "podman")
    machine.write(CONFIGURATION, machine.path(CONFIGURATION).read_text() + BED)
    machine.sh(commands("podman")[0])
    write_archive(machine.path("/opt/image.tar"), IMAGE)
    machine.run("podman", "load", "--quiet", "--input", "/opt/image.tar")
