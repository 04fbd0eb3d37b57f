"""The container runtime is told of our network last: an agent's process that can make no pod's device, and then can."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from felix_py import cni_service
from felix_py.agent import Agent
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


def test_what_others_look_for_on_disk_is_put_back_while_it_runs(namespace: str, tmp_path: Path) -> None:
    process = agent(namespace, tmp_path)
    assert process.stdout is not None
    try:
        assert any("ready: pods may be attached" in line for line in process.stdout)
        (tmp_path / "nodename").unlink()
        (tmp_path / "state" / "deletes").rmdir()
        put_back = {"nodename was removed by somebody", "deletes was removed by somebody"}
        for line in process.stdout:
            put_back -= {one for one in put_back if one in line}
            if not put_back:
                break
        assert (tmp_path / "nodename").read_text() == "n1"
        assert (tmp_path / "state" / "deletes").is_dir()
    finally:
        process.kill()
        process.wait()


async def test_requests_are_served_while_the_kernel_makes_the_tests_device(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, served, waited = asyncio.get_running_loop(), threading.Event(), list[bool]()

    def make(_: Path) -> None:
        loop.call_soon_threadsafe(served.set)
        waited.append(served.wait(10))

    monkeypatch.setattr(cni_service, "why_no_device", make)
    agent: Any = SimpleNamespace(progress=SimpleNamespace(attach_refused="not tried yet"))
    await cni_service._prove_that_pods_can_be_attached(cast(Agent, agent), Path("/proc/sys"))
    assert waited == [True]
    assert agent.progress.attach_refused is None
