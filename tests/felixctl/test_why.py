"""`felixctl why`: which agents are read, and how the explanation is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import typer
from msgspec.structs import replace

from explain.records import PodRecord
from explain.step import Command
from felix_py.status.status_json import to_json
from felixctl.errors import FAILED, MISUSED, CommandError
from felixctl.options import OutputFormat
from felixctl.why import print_explanation
from tests.explain.cluster import RECORDS, node_trace

TRACES = {"n1": node_trace(1, 2), "n2": node_trace(2, 1)}


def command_line(command: Command) -> str:
    return f"{command.place}$ {command.line}"


class Agents:
    """The agents of some nodes; the others cannot be reached."""

    def __init__(self, *nodes: str, page: Mapping[str, Any] | None = None) -> None:
        self._nodes, self._page, self.read = nodes, page, list[tuple[str, str]]()

    def __call__(self, node: str, page: str) -> Mapping[str, Any]:
        self.read.append((node, page))
        if node not in self._nodes:
            raise CommandError(f"{node} is not reachable")
        page_of_node = to_json(TRACES[node])
        assert isinstance(page_of_node, dict)
        return page_of_node if self._page is None else self._page


def explained(agents: Agents, capsys: pytest.CaptureFixture[str], output: OutputFormat = OutputFormat.TEXT) -> str:
    print_explanation(RECORDS, "a", "b", agents, command_line, output)
    return capsys.readouterr().out


def test_the_agents_of_both_ends_are_read_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    agents = Agents("n1", "n2")
    explained(agents, capsys)
    assert sorted(agents.read) == [(node, "/trace?to=10.65.2.1&from=10.65.1.1") for node in ("n1", "n2")]


def test_the_steps_stand_under_their_direction_and_the_verdict_below(capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(Agents("n1", "n2"), capsys).splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "in the datastore",
        "there, default/a to default/b",
        "back, default/b to default/a",
        "✓ nothing between default/a and default/b is broken, in either direction",
    ]


def test_an_agent_that_cannot_be_read_is_a_step_that_is_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert "? n2" in explained(Agents("n1"), capsys)
    assert "it is starting, or of another version" in explained(Agents("n1", "n2", page={}), capsys)


def test_as_json_the_explanation_has_ends_verdict_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(explained(Agents("n1", "n2"), capsys, OutputFormat.JSON))
    assert (found["from"], found["reachable"], found["broken"]) == (
        {"name": "default/a", "address": "10.65.1.1", "node": "n1"},
        True,
        None,
    )
    assert {step["state"] for step in found["steps"]} == {"ok"}


def test_what_is_broken_ends_with_1_and_shows_the_command_that_proves_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        print_explanation(RECORDS, "a", "10.65.2.9", Agents("n1", "n2"), command_line, OutputFormat.TEXT)
    assert ended.value.exit_code == FAILED
    assert "\n✗ " in capsys.readouterr().out


def test_the_same_end_twice_is_misuse() -> None:
    with pytest.raises(CommandError) as refused:
        print_explanation(RECORDS, "a", "a", Agents(), command_line, OutputFormat.TEXT)
    assert refused.value.status == MISUSED


def test_a_pod_without_an_address_is_no_pod_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    records = replace(RECORDS, pods=[*RECORDS.pods, PodRecord("default", "new", "n1", "cali9", ())])
    with pytest.raises(typer.Exit):
        print_explanation(records, "new", "b", Agents("n1", "n2"), command_line, OutputFormat.TEXT)
    printed = capsys.readouterr().out
    assert "pod default/new on n1 has no address; it is not attached" in printed
    assert "felixctl why default/new" in printed
