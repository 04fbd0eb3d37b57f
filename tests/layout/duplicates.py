"""Runs of lines that stand at two places."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.layout.tree import Module


class Line(NamedTuple):
    number: int
    text: str


class Duplicate(NamedTuple):
    first: str
    second: str
    """PATH:LINE, where the run begins."""
    length: int


def lines(module: Module) -> list[Line]:
    """Return the lines that count, without their indentation: no imports, comments and blank lines."""
    imported = {
        number
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return [
        Line(number, text)
        for number, text in enumerate(map(str.strip, module.source.splitlines()), 1)
        if text and not text.startswith("#") and number not in imported
    ]


def duplicates(modules: Iterable[Module], least: int) -> Iterator[Duplicate]:
    """Yield each run of `least` lines or more that occurs a second time, once, at its full length."""
    files = {module.path: lines(module) for module in modules}
    first_seen: dict[tuple[str, ...], tuple[str, int]] = {}
    for path, counted in files.items():
        index = 0
        while index + least <= len(counted):
            window = tuple(line.text for line in counted[index : index + least])
            earlier, start = first_seen.setdefault(window, (path, index))
            if (earlier, start) == (path, index) or (earlier == path and start + least > index):
                index += 1
                continue
            length = _length(files[earlier], start, counted, index)
            yield Duplicate(f"{earlier}:{files[earlier][start].number}", f"{path}:{counted[index].number}", length)
            index += length


def _length(one: list[Line], start: int, other: list[Line], index: int) -> int:
    length = 0
    while (
        start + length < len(one)
        and index + length < len(other)
        and one[start + length].text == other[index + length].text
    ):
        length += 1
    return length
