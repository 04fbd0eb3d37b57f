"""`felixctl lab`, as far as it needs no lab that is up."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import host
from tests.felixctl.command import Felixctl


def test_the_examples_are_listed_with_what_they_show(felixctl: Felixctl) -> None:
    heading, *rows = felixctl("lab", "list").out.splitlines()
    assert heading.split() == ["FILE", "NODES", "PODS", "SHOWS"]
    assert any(row.startswith("examples/three-nodes.yaml ") for row in rows)


def test_a_lab_that_is_not_up_is_a_sentence(felixctl: Felixctl) -> None:
    for arguments in (
        ["down", "no-such-lab"],
        ["down", "--lab", "no-such-lab"],
        ["status", "--lab", "no-such-lab"],
        ["kill", "n1", "--lab", "no-such-lab"],
    ):
        ended = felixctl("lab", *arguments)
        assert (ended.status, ended.out) == (1, "")
        assert ended.err.startswith("felixctl: ")
        assert "no-such-lab" in ended.err


def test_a_spec_that_is_none_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: many\n")
    ended = felixctl("lab", "up", str(file))
    assert (ended.status, ended.out, ended.err.startswith(f"felixctl: {file}: nodes: ")) == (1, "", True)


def test_of_several_labs_the_command_says_how_it_is_told_which(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "running_labs", lambda: [host.RunningLab("a", 1), host.RunningLab("b", 2)])
    for command in ("down", "status"):
        ended = felixctl("lab", command)
        assert (ended.status, "several labs are up: a, b; say which with --lab NAME\n" in ended.err) == (1, True)


def test_a_lab_is_ended_by_its_name_given_either_way_and_none_by_two_names(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    monkeypatch.setattr(host, "running_labs", lambda: [host.RunningLab("a", 1), host.RunningLab("b", 2)])
    monkeypatch.setattr(host.RunningLab, "end", lambda lab: ended.append(lab.name))
    for told in (["a"], ["--lab", "a"], ["a", "--lab", "a"]):
        assert felixctl("lab", "down", *told).out == "lab a has ended\n"
    assert felixctl("lab", "down", "a", "--lab", "b").err == (
        "felixctl: a and --lab b are two labs: give one of them; nothing was ended\n"
    )
    assert ended == ["a"] * 3
