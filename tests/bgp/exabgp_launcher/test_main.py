"""ExaBGP's program as it is started."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bgp import exabgp_config, exabgp_supervisor
from bgp.events import SpeakerStopped
from bgp.exabgp_errors import other_release
from bgp.exabgp_launcher.left_out import OF_EXABGP, OF_PYTHON
from tests.bgp.exabgp_launcher.in_python import ROOT, patched
from tests.bgp.exabgp_nodes import PATIENCE, address, node, speaker


def test_no_folder_of_a_user_or_the_environment_gives_it_code(tmp_path: Path) -> None:
    configuration = tmp_path / "exabgp.conf"
    configuration.write_text(exabgp_config.render(speaker(1, 2)))
    for name in ("bgp", "exabgp", "argparse"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    started = subprocess.run(
        exabgp_supervisor.launcher("--validate", str(configuration)),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert started.returncode == 0, started.stderr


def test_of_ours_exabgps_process_loads_this_package_only() -> None:
    done = patched("""
import sys
ours = {name for name in sys.modules if name.split(".")[0] in ("bgp", "net", "datastore", "felix_py")}
assert not {name for name in ours if name != "bgp" and not name.startswith("bgp.exabgp_launcher")}, ours
assert not {"pydantic", "msgspec"} & set(sys.modules)
""")
    assert (done.returncode, done.stderr) == (0, "")


def loaded(tmp_path: Path, *options: str) -> set[str]:
    """Return the names of all modules that the launcher loads until it refuses a configuration."""
    configuration = tmp_path / "exabgp.conf"
    configuration.write_text("nonsense")
    python, *words = exabgp_supervisor.launcher(*options, str(configuration))
    ended = subprocess.run(
        [python, "-X", "importtime", *words],
        input="exabgp.log.level=ERROR\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'invalid syntax line 1: "nonsense"' in ended.stderr
    return {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}


def test_neither_exabgps_other_programs_are_loaded_nor_what_python_has_for_them(tmp_path: Path) -> None:
    names = loaded(tmp_path, "--commands", "0", "--events", "1")
    assert {"exabgp.application.server", "exabgp.reactor.asynchronous", "exabgp.debug.intercept"} <= names
    assert not names & {"exabgp.application.cli", "exabgp.application.healthcheck"}
    assert not names & {"asyncio", "ssl", "pdb", "bdb", "argparse", "inspect", "ast", "dataclasses", "ctypes"}
    assert not names & {"configparser", "ipaddress", "locale", "logging.handlers", "platform", "subprocess"}


def test_a_check_leaves_out_the_same(tmp_path: Path) -> None:
    names = loaded(tmp_path, "--validate")
    assert "exabgp.application.validate" in names
    assert not names & {*OF_EXABGP, *OF_PYTHON, "exabgp.protocol.ip.port"}


@pytest.mark.parametrize("words", [["--of-the-next-release", "exabgp.conf"], ["--commands", "exabgp.conf"], []])
def test_what_is_not_understood_starts_nothing(words: list[str]) -> None:
    ended = subprocess.run(exabgp_supervisor.launcher(*words), capture_output=True, text=True)
    assert other_release(ended.returncode, ended.stderr.splitlines())
    assert "nothing is started" in ended.stderr.splitlines()[-1]


def test_without_settings_it_ends_with_its_input_and_reads_no_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / "exabgp.conf"
    configuration.write_text("nonsense")
    command = exabgp_supervisor.launcher("--commands", "0", "--events", "1", str(configuration))
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


async def test_another_release_is_not_started_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: None
) -> None:
    other = tmp_path / "exabgp_launcher.py"
    other.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from bgp.exabgp_launcher import __main__ as launcher, replacements\n"
        "replacements.VERSION = '5.0.14'\n"
        "launcher.main()\n"
    )
    monkeypatch.setattr(exabgp_supervisor, "LAUNCHER", other)
    async with node(tmp_path) as one:
        await one.exabgp.reload(speaker(1, 2))
        await one.wait_for(
            SpeakerStopped(
                "it ended with exit code 78, last stderr line: "
                "patch ExaBGP 5.0.15: the patches are written for 5.0.14; it is not started",
                final=True,
            )
        )


def test_a_process_that_waits_ends_with_its_sidecar(tmp_path: Path) -> None:
    sidecar = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from bgp.exabgp_supervisor import ExaBGP\n"
            "from tests.processes import children\n"
            "async def main():\n"
            "    async with ExaBGP(Path(sys.argv[1])):\n"
            "        print(*children(), flush=True)\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())",
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with sidecar:
        assert sidecar.stdout is not None
        waiting = os.pidfd_open(int(sidecar.stdout.readline()))
        sidecar.kill()
    assert select.select([waiting], [], [], PATIENCE)[0], "it outlived its sidecar"
    os.close(waiting)


def test_exabgp_ends_with_its_sidecar_and_frees_the_port(tmp_path: Path, network: None) -> None:
    sidecar = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import asyncio, sys\n"
            "from pathlib import Path\n"
            "from bgp.exabgp_supervisor import ExaBGP\n"
            "from bgp.events import SpeakerStarted\n"
            "from tests.bgp.exabgp_nodes import speaker\n"
            "async def main():\n"
            "    async with ExaBGP(Path(sys.argv[1])) as exabgp:\n"
            "        await exabgp.reload(speaker(1, 2))\n"
            "        async for event in exabgp.events():\n"
            "            if event == SpeakerStarted(): print(exabgp.pid, flush=True)\n"
            "asyncio.run(main())",
            str(tmp_path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert sidecar.stdout is not None
        pid = int(sidecar.stdout.readline())
        exabgp = os.pidfd_open(pid)
    finally:
        sidecar.send_signal(signal.SIGKILL)
        sidecar.wait()
        assert sidecar.stdout is not None
        sidecar.stdout.close()
    assert select.select([exabgp], [], [], PATIENCE)[0], f"ExaBGP {pid} outlived its sidecar"
    os.close(exabgp)
    socket.create_server((address(1), 179)).close()
