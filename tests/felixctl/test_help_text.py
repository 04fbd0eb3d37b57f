"""Paragraphs of a docstring, and the examples in it."""

from __future__ import annotations

from felixctl.help_text import unwrapped


def test_a_paragraph_is_one_line() -> None:
    assert (
        unwrapped("Show it.\n\n    Two lines\n    of prose.\n\n    Another.")
        == "Show it.\n\nTwo lines of prose.\n\nAnother."
    )


def test_examples_keep_their_lines() -> None:
    examples = "[dim]$[/dim] felixctl get nodes\n[dim]$[/dim] felixctl routes"
    assert unwrapped(f"Show it.\n\n{examples}\n\nMore\nof it.") == f"Show it.\n\n{examples}\n\nMore of it."
