from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.runtimes import libraries
from tests.runtimes.handbook import commands
from tests.runtimes.machine import Machine, eventually, machines

CONFLIST = "/etc/cni/net.d/10-felix.conflist"
SETTINGS = "FELIX_DATASTORE=sqlite:///srv/felix/cluster.db\n"  # what both nodes share


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Machine]]:
    """Two machines, installed as docs/standalone.md says, that are nodes of one cluster."""
    with machines(tmp_path_factory.mktemp("machines"), n1="192.0.2.1", n2="192.0.2.2") as both:
        brought = libraries.bring(both[0])
        install(both[0])
        if not brought:
            libraries.keep(both[0])
        install(both[1], like=both[0])
        for machine in both:
            start(machine)
        yield both


def install(machine: Machine, like: Machine | None = None) -> None:
    """Install by the page's commands; what pip installs is taken from another machine that has it."""
    (script,) = commands("Install")
    if like is not None:
        subprocess.run(["cp", "--archive", "--link", like.path("/opt/felix"), machine.path("/opt")], check=True)
        script = script.split("pip install", 1)[1].split("\n", 1)[1]
    machine.sh(script, online=True)


def start(machine: Machine, settings: str = SETTINGS) -> None:
    configuration = machine.path("/etc/felix/felix.cfg")
    configuration.write_text(configuration.read_text() + settings)
    for script in commands("Start")[:1]:
        machine.sh(script)
    eventually(f"{machine.name} is ready: {machine.log('felix-agent')}", lambda: machine.path(CONFLIST).exists())
