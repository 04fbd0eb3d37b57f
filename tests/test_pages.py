"""The pages of docs that follow from the code are up to date."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from felix_py.configuration.settings import variables
from tests import config_map
from tests.meanings import MEANINGS
from tests.pages import DOCS, notices_page, settings_page


@pytest.mark.parametrize(("name", "page"), [("notices.md", notices_page), ("settings.md", settings_page)])
def test_the_page_says_what_the_code_says(name: str, page: Callable[[], str]) -> None:
    assert (DOCS / name).read_text() == page(), "run: .venv/bin/python -m tests.pages"


def test_each_setting_has_a_meaning() -> None:
    assert MEANINGS.keys() == variables().keys()


def test_the_config_map_explains_every_setting_there_is() -> None:
    assert config_map.PATH.read_text() == config_map.text(), "run: .venv/bin/python -m tests.config_map"
