"""The sidecar's process: its settings, and what it finds when it starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgp.process import SWITCH
from felix_py.configuration.settings import settings_from
from tests.bgp.fabric import Agent, mesh


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("FELIX_LOGSEVERITYSCREEN", "loud", "trace, debug, info, warning, error, fatal or none"),
        ("FELIX_BGPCOMPAREDECODERS", "perhaps", "true or false"),
    ],
)
def test_a_bad_setting_ends_it_with_2_and_one_sentence(tmp_path: Path, setting: str, value: str, allowed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bgp", "--socket", str(tmp_path / "bgp.sock"), "--state-dir", str(tmp_path / "bgp")],
        env={**os.environ, setting: value},
        capture_output=True,
        text=True,
    )
    said = f"setting {setting}={value!r}: not valid; use {allowed}; the sidecar does not start\n"
    assert (ended.returncode, ended.stderr) == (2, said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["true", "False", " yes ", "no", "1", "0", "on", "off", "t", "f", "y", "n", ""])
def test_agent_and_sidecar_read_a_switch_alike(text: str) -> None:
    settings = settings_from({"FELIX_BGPCOMPAREDECODERS": text})
    assert SWITCH[text.strip().lower()] is settings.compare_decoders


async def test_a_sidecar_of_another_release_than_is_installed_ends_to_be_started_anew(tmp_path: Path) -> None:
    older = (
        "import sys; from bgp import exabgp_supervisor; exabgp_supervisor.VERSION = 0;"
        "from bgp.process import run; sys.exit(run())"
    )
    places = ["--socket", str(tmp_path / "bgp.sock"), "--state-dir", str(tmp_path / "bgp")]
    sidecar = await asyncio.create_subprocess_exec(sys.executable, "-c", older, *places, stderr=subprocess.PIPE)
    agent = Agent(tmp_path / "bgp.sock")
    try:
        agent.start_agent()
        await agent.agent.configure(mesh(1, [2]))
        async with asyncio.timeout(60):
            _, said = await sidecar.communicate()
        assert sidecar.returncode == 1
        assert b"the sidecar speaks version 0 of what passes between it and ExaBGP" in said
    finally:
        await agent.stop_agent()
        if sidecar.returncode is None:
            sidecar.kill()
            await sidecar.wait()


def test_a_sidecar_that_does_not_run_cannot_leave(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bgp", "--leave", "--socket", str(tmp_path / "bgp.sock")], capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"ask the sidecar on {tmp_path}/bgp.sock to leave: ")


@pytest.mark.parametrize(("folder", "socket"), [(0o700, 0o600), (0o755, 0o600), (0o770, 0o660)], ids=oct)
def test_a_second_sidecar_in_one_place_does_not_start(tmp_path: Path, folder: int, socket: int) -> None:
    tmp_path.chmod(folder)
    command = [
        sys.executable,
        "-m",
        "bgp",
        "--socket",
        str(tmp_path / "bgp.sock"),
        "--state-dir",
        str(tmp_path / "bgp"),
    ]
    (tmp_path / "bgp").mkdir(mode=0o755)  # as a kubelet makes it
    first = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "bgp.sock").exists():
            assert time.monotonic() < deadline, "the first does not listen"
            time.sleep(0.02)
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 1
        assert "another sidecar runs with this directory" in second.stderr
        assert (tmp_path / "bgp.sock").stat().st_mode & 0o777 == socket
        assert (tmp_path / "bgp").stat().st_mode & 0o777 == 0o700
        # A version before this one is root without DAC_OVERRIDE, and opens this file for writing.
        assert not (tmp_path / "bgp" / "exabgp.env").exists()
    finally:
        first.terminate()
        first.wait()
