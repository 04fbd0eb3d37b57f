"""The commands and files of docs/standalone.md, for the tests to run and write as they stand there."""

from __future__ import annotations

import re

from tests.runtimes.machine import TREE, Machine

PAGE = TREE / "docs" / "standalone.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"# (/[\w/.-]+)\n")


def commands(title: str) -> list[str]:
    """Return the blocks of commands below a heading, in order."""
    return [text for language, text in _blocks(title) if language == "sh"]


def files(title: str) -> dict[str, str]:
    """Return the files below a heading by their paths, which their first lines give."""
    return {place[1]: text for language, text in _blocks(title) if language != "sh" and (place := _PLACE.match(text))}


def write_files(machine: Machine, title: str) -> None:
    for path, text in files(title).items():
        machine.write(path, text)


def _blocks(title: str) -> list[tuple[str, str]]:
    _, found, rest = PAGE.read_text().partition(f"\n## {title}\n")
    assert found, f"{PAGE} has no heading {title}"
    return _BLOCK.findall(rest.partition("\n## ")[0])
