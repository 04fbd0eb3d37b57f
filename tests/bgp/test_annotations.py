"""The names of our annotations of a peer: each is explained where users look for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.annotations import ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET, PREFIX, PREFIX_LIMIT

DOCUMENT = Path(__file__).parents[2] / "docs/bgp.md"


@pytest.mark.parametrize("name", [PREFIX_LIMIT, ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET])
def test_each_annotation_is_ours_and_documented(name: str) -> None:
    assert name.startswith(PREFIX) and f"`{name}: " in DOCUMENT.read_text()
