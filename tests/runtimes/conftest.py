from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtimes.handbook import commands
from tests.runtimes.machine import Machine, eventually, machines

POOL = "10.65.0.0/16"
CONFLIST = "/etc/cni/net.d/10-felix.conflist"
SETTINGS = "FELIX_DATASTORE=sqlite:///srv/felix/cluster.db\n"  # what both nodes share


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Machine]]:
    """Two machines, installed as docs/standalone.md says, that are nodes of one cluster."""
    with machines(tmp_path_factory.mktemp("machines"), n1="192.0.2.1", n2="192.0.2.2") as both:
        install(*both)
        for machine in both:
            start(machine)
        yield both


def install(first: Machine, *others: Machine) -> None:
    """Install on the first by the page's commands; the others get what that made in /opt."""
    (script,) = commands("Install")
    first.sh(script, online=True)
    for machine in others:
        machine.run("cp", "--archive", str(first.path("/opt/felix")), "/opt/")
        machine.sh(script.split("pip install", 1)[1].split("\n", 1)[1], online=True)


def start(machine: Machine, settings: str = SETTINGS) -> None:
    configuration = machine.path("/etc/felix/felix.cfg")
    configuration.write_text(configuration.read_text() + settings)
    for script in commands("Start")[:1]:
        machine.sh(script)
    eventually(f"{machine.name} is ready: {machine.log('felix-agent')}", lambda: machine.path(CONFLIST).exists())


@pytest.fixture(scope="session")
def build() -> Path:
    """The folder of what is compiled for these tests; kept, for it does not change."""
    folder = Path(__file__).resolve().parents[2] / "build" / "runtimes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
