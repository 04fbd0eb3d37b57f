"""The command line as a whole: help for everything, no import that a command does not need."""

from __future__ import annotations

import pytest

from datastore.defaults import DEFAULT_URL
from felix_py.configuration.settings import Settings
from felixctl.app import MODULES
from tests.felixctl.command import Felixctl
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


def test_an_argument_of_bytes_that_are_no_text_is_misuse(felixctl: Felixctl) -> None:
    ended = felixctl("get", "bgppeer", b"\xff".decode(errors="surrogateescape"))
    assert (ended.status, "'\\udcff' is not UTF-8 text" in ended.err) == (2, True)
