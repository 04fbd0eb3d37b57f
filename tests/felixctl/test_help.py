"""Help that teaches: every command shows how it is used, and what help and docs/calicoctl.md show exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from felixctl.app import app

PAGE = Path(__file__).parents[2] / "docs" / "calicoctl.md"
ROOT: Any = typer.main.get_command(app)
CONTEXT: Any = ROOT.make_context("felixctl", [], resilient_parsing=True)


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name in command.list_commands(CONTEXT) if hasattr(command, "list_commands") else ():
        child = command.get_command(CONTEXT, name)
        if not child.hidden:
            yield from walk(child, (*path, name))


COMMANDS = dict(walk(ROOT))
TAUGHT = {path: command for path, command in COMMANDS.items() if path[:1] != ("lab",)}


def examples(text: str) -> list[str]:
    plain = re.sub(r"\[/?(?:b|dim)\]", "", text).replace("\\[", "[")
    return [line.strip() for line in plain.splitlines() if line.strip().startswith("$ ")]


def calls(line: str) -> list[list[str]]:
    """Return the calls of felixctl in one line of a shell, as words without comments."""
    words = shlex.split(line.removeprefix("$ "), comments=True, posix=True)
    found: list[list[str]] = []
    for word in words:
        if word == "felixctl":
            found.append([])
        elif word.rstrip(";") in ("&&", "|", "--") or word == ";":
            continue
        elif found:
            found[-1].append(word.rstrip(";"))
    return found


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words lead to, and the words behind it. Fails if there is none."""
    command, rest = ROOT, list(words)
    while hasattr(command, "list_commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        command = command.get_command(CONTEXT, name)
        assert command is not None, f"there is no felixctl {' '.join(words)}"
    return command, rest


@pytest.mark.parametrize("path", TAUGHT, ids=" ".join)
def test_every_command_shows_how_it_is_used(path: tuple[str, ...]) -> None:
    assert examples(TAUGHT[path].help or ""), f"felixctl {' '.join(path)} --help has no example"


LINES = [line for command in COMMANDS.values() for line in examples(command.help or "")]
LINES += re.findall(r"^felixctl .*", PAGE.read_text(), re.MULTILINE)
LINES += [f"felixctl {rest}" for rest in re.findall(r"`felixctl ([^`]*)`", PAGE.read_text())]


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_what_help_and_page_show_exists(line: str) -> None:
    for words in calls(line):
        command, rest = resolved(words)
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        if command.name == "exec":
            continue
        for word in rest:
            if word.startswith("-") and word != "-" and not word[1:].isdigit():
                assert word.partition("=")[0] in known, f"felixctl {' '.join(words)}: {word} is unknown"


def test_subcommands_do_not_offer_to_install_completion() -> None:
    for path in (("ipam",), ("node",), ("datastore",)):
        assert "--install-completion" not in {option for one in COMMANDS[path].params for option in one.opts}
