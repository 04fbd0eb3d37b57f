"""What docs/troubleshooting.md and docs/install.md quote is what felix-py says: each piece is a text in its source.

Where a sentence varies, the page has …, and the source a value between two pieces of an f-string.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.layout.tree import PACKAGES

TREE = Path(__file__).parents[1]
PAGE, INSTALLING = TREE / "docs" / "troubleshooting.md", TREE / "docs" / "install.md"
LEAST = 8
"""A quote's longest piece has so many characters: a shorter one would be found anywhere."""


def texts(source: str) -> list[str]:
    """Return every piece of text in a module's strings, those of an f-string apart where a value stands between."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def said() -> list[str]:
    modules = [path for package in PACKAGES for path in sorted((TREE / package).rglob("*.py"))]
    return [text for path in modules for text in texts(path.read_text())]


def rows(page: str) -> list[list[str]]:
    """Return the cells of each line of the page's tables, without headings."""
    symptoms = page[page.index("| seen") :].splitlines()
    lines = [line for line in symptoms if line.startswith("|") and not line.startswith(("|---", "| seen"))]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def quotes(page: str) -> list[str]:
    """Return what the page quotes of felix-py."""
    return [quote for row in rows(page) for quote in re.findall(r"`([^`]+)`", row[-3])]


def missing(quote: str, known: list[str]) -> list[str]:
    """Return the pieces of a quote that no source has."""
    pieces = [piece for piece in quote.split("…") if piece.strip()]
    return [piece for piece in pieces if not any(piece in text for text in known)]


def test_each_quoted_sentence_is_in_the_source() -> None:
    known, quoted = said(), quotes(PAGE.read_text()) + quotes(INSTALLING.read_text())
    found = {quote: pieces for quote in quoted if (pieces := missing(quote, known))}
    assert not found


def test_each_symptom_of_a_cluster_has_a_command_that_shows_it() -> None:
    page = INSTALLING.read_text()
    for row in rows(page):
        assert len(row) == 5 and all(row), row
        assert re.fullmatch(r"`kubectl [^`]+`", row[1]), row
    assert all(max(map(len, quote.split("…"))) >= LEAST for quote in quotes(page))


def test_each_row_has_a_symptom_a_quote_a_cause_and_a_cure() -> None:
    page = PAGE.read_text()
    for row in rows(page):
        assert len(row) == 4 and all(row), row
        assert "`" in row[1], row
    assert all(max(map(len, quote.split("…"))) >= LEAST for quote in quotes(page))


@pytest.mark.parametrize(
    ("quote", "pieces"),
    [
        ("device … is up, but its link is down (no carrier)", []),
        ("device … is upside down", [" is upside down"]),
        ("no word of ours", ["no word of ours"]),
    ],
)
def test_a_piece_that_is_in_no_source_is_found(quote: str, pieces: list[str]) -> None:
    source = 'def f(name):\n    return f"device {name} is up, but its" f" link is down (no carrier)"\n'
    assert missing(quote, texts(source)) == pieces
