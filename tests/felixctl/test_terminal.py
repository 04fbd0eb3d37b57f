"""Colour is for terminals alone, and what others wrote commands none."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.table import Table

import felixctl as package
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from felixctl.ipam import store_check
from felixctl.terminal import Colour, console, fail, painted, show, shown, warn
from net.printable import is_safe
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import store_all

EVIL = "x\x1b]0;title\x07\x9b2J\u202ey\nfelixctl: z"


def terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_on_a_terminal_text_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    assert shown([painted("up", Colour.GOOD)]) == "\033[32mup\033[0m"
    assert shown([painted("up", None)]) == "up"


@pytest.mark.parametrize("environment", [{"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_colour_gets_none(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    terminal(monkeypatch, **environment)
    assert shown([painted("up", Colour.GOOD)]) == "up"


def test_a_pipe_gets_plain_text() -> None:
    assert shown([painted("down", Colour.BAD)]) == "down"


def test_only_our_own_colours_are_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that was joined to other text has lost its colour, and has gained none of theirs."""
    terminal(monkeypatch)
    assert shown(["\033[31m", painted("\033[5mup", Colour.GOOD)]) == "\\x1b[31m\033[32m\\x1b[5mup\033[0m"
    assert shown([painted("up", Colour.GOOD) + "\n"]) == "up\n"


def test_all_doors_escape(capsys: pytest.CaptureFixture[str]) -> None:
    show(EVIL)
    warn(EVIL)
    fail(EVIL)
    table = Table("a")
    table.add_row(EVIL)
    console(width=100).print(table)
    printed = capsys.readouterr()
    assert is_safe(printed.out + printed.err)
    assert "felixctl: x\\x1b]0;title\\x07\\x9b2J\\u202ey\n  felixctl: z\n" in printed.err


def test_nothing_is_printed_past_the_doors() -> None:
    """What is printed elsewhere would not be escaped."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if path.name != "terminal.py"
        and isinstance(node, ast.Name | ast.Attribute)
        and ast.unparse(node) in ("print", "typer.echo", "typer.secho", "sys.stdout", "sys.stderr", "click.echo")
    ]
    assert found == []


@pytest.fixture
def evil(felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Felixctl:
    """A cluster whose records hold a command in whatever may be any text."""
    for pause in ("RECHECK_SECONDS", "NODE_RETURN_SECONDS"):
        monkeypatch.setattr(store_check, pause, 0)
    attributes = {"handle_id": EVIL, "secondary": {"node": EVIL, "pod": EVIL, "namespace": EVIL, EVIL: EVIL}}
    pod: dict[str, Any] = {
        "pod": EVIL,
        "workload": EVIL,
        "container_id": EVIL,
        "profiles": [EVIL],
        "orchestrator": "k8s",
    }
    block: dict[str, Any] = {
        "cidr": "10.65.0.0/30",
        "affinity": f"host:{EVIL}",
        "deleted": False,
        "strictAffinity": False,
    }
    store_all(
        tmp_path,
        [
            Node.make("n1", annotations={"a": EVIL, EVIL: "b"}, labels={"a": EVIL}),
            BGPPeer.make("tor", peer_ip="192.0.2.9", as_number=64600, node=EVIL),
            IPPool.make("pods", cidr="10.65.0.0/16", block_size=30),
            IPAMBlock.make(
                "10-65-0-0-30",
                allocations=[0, None, None, None],
                unallocated=[1, 2, 3],
                attributes=[attributes],
                **block,
            ),
            IPAMHandle.make("evil", handle_id=EVIL, block={"10.65.0.0/30": 2}, deleted=False),
            WorkloadEndpoint.make(
                "n1-k8s-p-eth0",
                EVIL,
                node=EVIL,
                ip_networks=["10.65.0.2/32"],
                endpoint="eth0",
                interface_name=EVIL,
                **pod,
            ),
        ],
    )
    return felixctl


@pytest.mark.parametrize("command", [
    *(f"get {kind}{how}" for kind in ("nodes", "bgppeers", "wep -A") for how in ("", " -o wide", " -o name")),
    "get bgppeer tor -o jsonpath={.spec.node}{.spec}",
    "get wep -A -o custom-columns=NAME,POD:.spec.pod,SPEC:.spec",
    "get node n1 -o yaml", "get wep -A -o json", "get bgppeers -o yaml",
    "get wep nothing -n \x1b[2J", "get \x1b[2J", "delete node \x1b[2J",
    "ipam check", "ipam check --show-all-ips", "ipam check --fix --yes",
    "ipam show --ip 10.65.0.0", "ipam show --show-borrowed", "ipam show --show-blocks",
    "ipam release --ip 10.65.0.0", "ipam release --ip 10.65.0.2", "why default/p \x1b[2J", "why 10.65.0.2 n1",
    "delete node n1", "routes --run-dir /\x1b[2J", "node status --run-dir /\x1b[2J",
])  # fmt: skip
def test_no_command_prints_what_commands_a_terminal(evil: Felixctl, command: str) -> None:
    ended = evil(*command.split(" "))
    assert is_safe(ended.out + ended.err)
    assert "\nfelixctl: z" not in ended.out + ended.err or "-o " in command
    assert "Traceback" not in ended.err


def test_json_and_yaml_hold_the_very_text(evil: Felixctl) -> None:
    assert json.loads(evil("get", "bgppeer", "tor", "-o", "json").out)["spec"]["node"] == EVIL
    assert yaml.safe_load(evil("get", "bgppeer", "tor", "-o", "yaml").out)["spec"]["node"] == EVIL
    [endpoint] = yaml.safe_load(evil("get", "wep", "-A", "-o", "yaml").out)["items"]
    assert endpoint["metadata"]["namespace"] == endpoint["spec"]["pod"] == EVIL
