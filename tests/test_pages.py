"""The pages of docs that follow from the code are up to date."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.pages import DOCS, notices_page, settings_page


@pytest.mark.parametrize(("name", "page"), [("notices.md", notices_page), ("settings.md", settings_page)])
def test_the_page_says_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    assert (DOCS / name).read_text() == page(), "run: .venv/bin/python -m tests.pages"
