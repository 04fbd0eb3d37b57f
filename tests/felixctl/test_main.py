"""The command line as a whole: help for everything, no import that a command does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datastore.defaults import DEFAULT_URL
from datastore.kinds.pools import IPPool
from felix_py.settings import Settings
from felixctl.__main__ import MODULES, understood
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import store_all
from tests.felixctl.resources.examples import pool


def test_help_names_every_command(felixctl: Felixctl) -> None:
    ended = felixctl("--help")
    assert ended.status == 0
    for name in MODULES:
        assert f" {name} " in ended.out


@pytest.mark.parametrize("name", MODULES)
def test_every_command_explains_itself(felixctl: Felixctl, name: str) -> None:
    ended = felixctl(name, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert f"felixctl {name}" in ended.out


def test_asking_the_agent_needs_no_datastore_and_no_kernel() -> None:
    """Start-up time is felt at every call: what a command does not need it does not import."""
    code = (
        "import sys; sys.argv = ['felixctl', 'node', 'status', '--run-dir', '/nowhere']\n"
        "from felixctl.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*(name for name in ('datastore.sqlite', 'yaml', 'pyroute2', 'asyncio') if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"


def test_a_check_that_finds_nothing_loads_nothing_to_repair_or_report_it_with(tmp_path: Path) -> None:
    unneeded = (
        "datastore.kinds.bgp", "felix_py.status_model", "felixctl.ipam.leak_report", "felixctl.ipam.repair_plan",
        "kubernetes", "rich", "yaml",
    )  # fmt: skip
    store_all(tmp_path, [IPPool.make("pods", cidr="10.65.0.0/16")])
    code = (
        "import sys\n"
        f"sys.argv = ['felixctl', 'ipam', 'check', '--run-dir', '/nowhere', '--datastore', 'sqlite://{tmp_path}/cluster.db']\n"
        "from felixctl.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('loaded:', *(name for name in {unneeded} if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-2:] == ["Check complete; found 0 problems.", "loaded:"]


def test_command_line_and_agent_have_the_same_default_datastore() -> None:
    assert Settings().datastore == DEFAULT_URL


@pytest.mark.parametrize(
    "arguments",
    [("apply",), ("delete",), ("delete", "ippool"), ("get",), ("get", "nodes", "-o", "xml"), ("frobnicate",)],
)
def test_misuse_ends_with_2(felixctl: Felixctl, arguments: tuple[str, ...]) -> None:
    assert felixctl(*arguments).status == 2


@pytest.mark.parametrize(
    "command",
    [
        "--allow-version-mismatch get ippools",
        "get --allow-version-mismatch ippools",
        "ipam show --allow-version-mismatch",
        "ipam check --show-problem-ips --show-all-ips --allow-version-mismatch",
        "delete --skip-not-exists --allow-version-mismatch ippool a",
    ],
)
def test_calicoctls_scripts_need_no_change(felixctl: Felixctl, command: str) -> None:
    felixctl("apply", "-f", "-", stdin=pool("b", "10.1.0.0/16"))
    ended = felixctl(*command.split())
    assert (ended.status, ended.err) == (0, "")


def test_what_is_run_in_a_lab_keeps_its_words() -> None:
    asked = ["lab", "exec", "n1", "--", "felixctl", "get", "nodes", "--allow-version-mismatch"]
    assert understood(asked) == asked
    assert understood(["why", "--allow-version-mismatch", "--", "a", "--allow-version-mismatch"]) == [
        "why", "--", "a", "--allow-version-mismatch",
    ]  # fmt: skip


def test_an_argument_of_bytes_that_are_no_text_is_misuse(felixctl: Felixctl) -> None:
    ended = felixctl("get", "bgppeer", b"\xff".decode(errors="surrogateescape"))
    assert (ended.status, "'\\udcff' is not UTF-8 text" in ended.err) == (2, True)
