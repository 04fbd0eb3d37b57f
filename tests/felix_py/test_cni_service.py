"""The container runtime is told of our network last: an agent's process that can make no pod's device, and then can."""

from __future__ import annotations

from pathlib import Path

from tests.felix_py.test_process import agent, host

__all__ = ["host"]


def test_the_networks_list_is_not_there_before_a_pods_device_could_be_made(namespace: str, tmp_path: Path) -> None:
    networks, sysctls = tmp_path / "net.d", tmp_path / "sys"
    networks.mkdir()
    process = agent(namespace, tmp_path, FELIX_CNICONFDIR=str(networks), FELIX_PROCSYS=str(sysctls))
    assert process.stdout is not None
    try:
        assert any("make a pod's device, as a test" in line and "next try in" in line for line in process.stdout)
        assert not list(networks.iterdir())
        sysctls.symlink_to("/proc/sys")
        assert any("ready: pods may be attached" in line for line in process.stdout)
        assert [file.name for file in networks.glob("*.conflist")] == ["10-felix.conflist"]
    finally:
        process.kill()
        process.wait()
