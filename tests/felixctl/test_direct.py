"""The commands that are called without typer: they do the same as with it, and import little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from felix_py.status.status_json import to_json
from felix_py.status_model import AgentStatus
from felixctl import direct
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Ended, Felixctl
from tests.felixctl.ipam.cluster import store_all

PARSERS = ("typer", "rich", "argparse")
HEAVY = ("yaml", "kubernetes", "pyroute2", "h2", "google.protobuf")
UNNEEDED = {
    ("version", "--client"): (*PARSERS, *HEAVY, "asyncio", "msgspec", "pydantic", "sqlite3"),
    ("version",): (*PARSERS, *HEAVY, "asyncio", "msgspec", "pydantic", "dataclasses", "importlib.metadata"),
    ("node", "status"): (*PARSERS, *HEAVY, "asyncio", "dataclasses", "pydantic", "sqlite3", "bgp.speaker",
                         "inspect"),
    ("ipam", "check"): (*PARSERS, *HEAVY, "asyncio", "pydantic", "dataclasses", "inspect", "statistics",
                        "felix_py.status_model", "felixctl.ipam.store_check"),
}  # fmt: skip
"""What a short command does not need, line by line: whoever calls it every few seconds pays for each import."""


STRAY = WorkloadEndpoint.make("n1-k8s-a-eth0", "red", node="n1", pod="a", ip_networks=["10.66.0.1/32"])


def cluster(folder: Path, *more: Resource) -> None:
    """A cluster with nothing wrong, but for what is more in it."""
    information = ClusterInformation.make("default", calico_version="v3.32.1", cluster_type="k8s", datastore_ready=True)
    store_all(folder, (information, IPPool.make("pods", cidr="10.65.0.0/16"), Node.make("n1"), *more))


def status() -> bytes:
    return answered(to_json(AgentStatus("n1", "1.0")))


TABLES = tuple(("get", word, *options) for word in ("nodes", "wep") for options in direct.TABLES)
LINES = (*direct.LINES, *TABLES)
UNNEEDED |= dict.fromkeys(TABLES, (*PARSERS, *HEAVY, "asyncio", "msgspec", "pydantic", "dataclasses"))


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_line_is_answered_as_by_typer(
    line: tuple[str, ...], felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FELIX_RUN_DIR", str(tmp_path))
    monkeypatch.setattr("felixctl.ipam.store_check.RECHECK_SECONDS", 0)
    cluster(tmp_path, STRAY)

    def answer() -> Ended:
        (tmp_path / "status.sock").unlink(missing_ok=True)
        with agent(tmp_path, status()) if line == ("node", "status") else open(os.devnull):
            return felixctl(*line)

    directly = answer()
    assert direct.direct_command(line, os.environ) is not None and directly.out
    monkeypatch.setattr(direct, "LINES", {})
    monkeypatch.setattr(direct, "TABLES", {})
    assert direct.direct_command(line, os.environ) is None and answer() == directly


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_line_imports_nothing_that_it_does_not_need(line: tuple[str, ...], tmp_path: Path) -> None:
    cluster(tmp_path)
    code = (
        "import sys\nfrom felixctl import __main__ as program\nprogram.end_at_once = sys.exit\n"
        f"sys.argv = {['felixctl', *line]}\n"
        "try: program.main()\n"
        "except SystemExit as end: print('ended:', end.code)\n"
        f"print('loaded:', *(name for name in {UNNEEDED[line]} if name in sys.modules))"
    )
    environment = {"PATH": os.environ["PATH"], "FELIX_DATASTORE": f"sqlite://{tmp_path}/cluster.db"}
    with agent(tmp_path, status()) if line == ("node", "status") else open(os.devnull):
        environment |= {"FELIX_RUN_DIR": str(tmp_path)} if line == ("node", "status") else {}
        ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[-2:] == ["ended: 0", "loaded:"]


def test_what_is_not_word_for_word_such_a_line_is_typers() -> None:
    for line in (
        ["version", "--help"],
        ["version", "--datastore", "x"],
        ["ipam"],
        ["ipam", "check", "--fix"],
        [],
        ["get"],
        ["get", "nodez"],
        ["get", "nodes", "n1"],
        ["get", "nodes", "-o", "yaml"],
        ["get", "--help"],
    ):
        assert direct.direct_command(line, {}) is None
    assert direct.direct_command(["ipam", "check"], {}) is not None
    assert direct.direct_command(["ipam", "check"], {direct.COMPLETION: "complete_bash"}) is None


def test_an_empty_variable_says_nothing(felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FELIX_RUN_DIR", "")
    directly = felixctl("node", "status")
    assert (directly.status, "/run/felix/status.sock" in directly.err) == (1, True)
    monkeypatch.setattr(direct, "LINES", {})
    assert felixctl("node", "status") == directly


def test_what_a_command_holds_is_not_given_back_one_by_one_at_its_end() -> None:
    code = (
        "import atexit, sys\nfrom felixctl.__main__ import main\n"
        "atexit.register(print, 'torn down')\nsys.argv = ['felixctl', 'version', '--client']\nmain()"
    )
    environment = {"PATH": os.environ["PATH"]}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 1)
    assert ended.stdout.startswith("Client Version: ")


def test_who_has_read_enough_of_it_ends_it_without_a_word(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    read, write = os.pipe()
    os.close(read)
    line = [sys.executable, "-m", "felixctl", "version", "--client"]
    ended = subprocess.run(line, env=environment, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")
