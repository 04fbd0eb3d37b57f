"""How a docstring becomes a command's help: its paragraphs are wrapped by the terminal, its examples keep their lines.

Pure.
"""

from __future__ import annotations

EXAMPLE = "[dim]$"
"""How a line with an example begins; others of its paragraph continue or comment on one."""


def unwrapped(docstring: str) -> str:
    """Return a docstring with each paragraph of prose in one line.

    Typer keeps the lines of all paragraphs but the first, and wraps them once more where the terminal is narrower.
    """
    return "\n\n".join(
        paragraph if EXAMPLE in paragraph else " ".join(line.strip() for line in paragraph.splitlines())
        for paragraph in docstring.split("\n\n")
    )
