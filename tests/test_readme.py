"""What the README says of the code and of the commands is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from felixctl.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
WALK = README.partition("## A walk through the code")[2].partition("\n## ")[0]
STEPS = [line for line in WALK.splitlines() if re.match(r"\d+\. ", line)]
PLACES = re.findall(r"`([a-z_]+/[a-z_]+\.(?:py|c))` `([A-Za-z_.]+)`", "\n".join(STEPS))


def definitions(path: Path) -> set[str]:
    """Return the functions of a file, methods as Class.method."""
    if path.suffix == ".c":
        return set(re.findall(r"^(?:static )?(?:int|void|[a-z_ *]+?)\**([a-z_]+)\(", path.read_text(), re.MULTILINE))
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def test_the_walk_has_ten_steps_and_each_names_a_place() -> None:
    assert len(STEPS) == 10
    assert all(re.search(r"`[a-z_/]+/[a-z_]+\.(py|c)` `", step) for step in STEPS)


def test_methods_that_the_walk_names_without_their_file_are_there() -> None:
    every = set().union(*(definitions(path) for path in ROOT.glob("[a-z]*/**/*.py")))
    assert set(re.findall(r"`([A-Z][A-Za-z]+\.[A-Za-z_]+)`", WALK)) <= every


@pytest.mark.parametrize(("file", "function"), PLACES)
def test_each_step_of_the_walk_names_a_function_that_is_there(file: str, function: str) -> None:
    assert function in definitions(ROOT / file)


@pytest.mark.parametrize(
    "file", re.findall(r"\]\(([A-Za-z][^):#]*)\)", README) + re.findall(r"`((?:[a-z_]+/)+[a-z_.-]+)`", README)
)
def test_files_and_folders_that_the_readme_names_exist(file: str) -> None:
    assert (ROOT / file).exists() or file.startswith("build/")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/calicoctl.md"])
def test_commands_that_a_document_names_are_there(document: str) -> None:
    for line in re.findall(r"felixctl ([a-z][a-z -]*)", (ROOT / document).read_text()):
        command: Any = get_command(app)
        context = Context(command)
        for word in line.split():
            if isinstance(command, TyperGroup):
                found = command.get_command(context, word)
                assert found is not None, f"{document}: felixctl {line}: there is no {word}"
                command, context = found, Context(found, parent=context)


def test_ci_calls_the_readmes_own_test_command() -> None:
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
