"""Rows to text, in the two shapes of calicoctl's tables, which people and their scripts know.

Pure, and of little more than the standard library: every command pays for what is imported here. A cell stays in its
line, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from net.printable import is_plain, one_line

GAP = 3
"""How many spaces follow the longest cell of a plain column."""
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?")


def plain(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return columns without borders, each cell padded (the last one too), and a final empty line."""
    table = _in_lines([tuple(heading), *map(tuple, rows)])
    line = "".join(f"%-{width + GAP}s" for width in _widths(table)) + "\n"
    return "".join([line % row for row in table]) + "\n"


def bordered(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in `+--+` borders: heading centred and in capitals, numbers right, text left."""
    body = _in_lines([tuple(row) for row in rows])
    widths = _widths([heading, *body])
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    centred = (_centred(cell.upper(), width) for cell, width in zip(heading, widths, strict=True))
    lines = (_bordered_line(map(_aligned, row, widths)) for row in body)
    return rule + _bordered_line(centred) + rule + "".join(lines) + rule


def _in_lines(table: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with each cell in its line. That nearly always all are is seen of all at once."""
    if is_plain("".join(map("".join, table))):
        return table
    return [tuple(map(one_line, row)) for row in table]


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip_longest(*table, fillvalue="")]


def _bordered_line(cells: Iterable[str]) -> str:
    return "".join(f"| {cell} " for cell in cells) + "|\n"


def _centred(text: str, width: int) -> str:
    """Return `text` in the middle of `width`, an odd space behind it (str.center may put it in front)."""
    return (" " * ((width - len(text)) // 2) + text).ljust(width)


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if _NUMBER.fullmatch(cell) else cell.ljust(width)
