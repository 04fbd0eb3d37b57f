"""What is read of a node's system."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from felixctl.node import read_system
from felixctl.node.findings import Availability
from felixctl.node.runtime_requirements import Runtime
from kernel.netns import inside
from tests.felixctl.node.test_requirements import state
from tests.kernel.netns import namespace


def test_modules_are_found_in_the_files_of_depmod(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "modules" / os.uname().release
    folder.mkdir(parents=True)
    (folder / "modules.dep").write_text("kernel/net/ipv4/ipip.ko.xz: kernel/net/ipv4/tunnel4.ko.xz\n")
    (folder / "modules.builtin").write_text("kernel/drivers/net/veth.ko\n")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "config.gz").write_bytes(gzip.compress(b"CONFIG_NET_NS=y\nCONFIG_NET_IPIP=m\n"))
    found = read_system.read_system(root=tmp_path)
    assert [state(found, name) for name in ("ipip", "veth", "network namespaces", "vxlan")] == [
        Availability.LOADABLE,
        Availability.PRESENT,
        Availability.PRESENT,
        Availability.MISSING,
    ]


def test_shim_configurations_and_runtimes_are_found_where_they_are(tmp_path: Path) -> None:
    files = {
        "opt/cni/bin/felix": "",
        "etc/cni/net.d/10-felix.conflist": "{}",
        "run/containerd/containerd.sock": "",
        "etc/containerd/config.toml": '[plugins."io.containerd.grpc.v1.cri".cni]\nconf_dir = "/etc/cni/other"\n',
        "run/crio/crio.sock": "",
        "etc/crio/crio.conf": "not TOML",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "opt/cni/bin/felix").chmod(0o755)
    host = read_system.read_system(root=tmp_path).host
    assert (host.plugin, host.configurations) == (True, ("10-felix.conflist",))
    assert host.runtimes == (Runtime("containerd", "/etc/cni/other"), Runtime("CRI-O"))


@pytest.mark.parametrize(("setting", "fixed"), [("", True), ("/host/proc/sys", False)])
def test_sysctls_are_fixed_where_the_agent_cannot_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, fixed: bool
) -> None:
    """A container's /proc/sys is read-only, and the agent has the host's at another place."""
    monkeypatch.setenv("FELIX_PROCSYS", setting)
    monkeypatch.setattr(read_system, "_is_read_only", lambda path: path == tmp_path / "proc/sys/net")
    assert read_system.read_system(root=tmp_path).fixed_sysctls is fixed


@pytest.mark.parametrize("mark", ["KUBERNETES_SERVICE_HOST", ".dockerenv", "run/.containerenv"])
def test_in_a_container_it_is_not_known_which_runtime_the_host_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if mark.isupper():
        monkeypatch.setenv(mark, "10.96.0.1")
    else:
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).touch()
    assert read_system.read_system(root=tmp_path).host.runtimes is None
    (tmp_path / "run/containerd").mkdir(parents=True)
    (tmp_path / "run/containerd/containerd.sock").touch()
    assert read_system.read_system(root=tmp_path).host.runtimes == (Runtime("containerd"),), "it is mounted"


def test_without_any_of_them_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    host = read_system.read_system(root=tmp_path).host
    assert (host.plugin, host.configurations, host.runtimes) == (False, None, ())


def test_packet_filters_are_those_of_this_network_namespace(tmp_path: Path) -> None:
    with namespace("filters") as here:
        here.run("iptables-legacy", "-P", "FORWARD", "DROP")
        with inside(here.descriptor):
            found = read_system.read_system(root=tmp_path)
    assert state(found, "packet filters, forwarding") is Availability.WRONG
    assert state(found, "packet filters, BGP") is Availability.PRESENT
