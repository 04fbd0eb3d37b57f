"""The stored and the shown form of a resource."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felixctl.resources import view
from tests.felixctl.golden import records
from tests.felixctl.resources.test_golden_resources import CRS


@given(st.uuids().map(str))
def test_the_shown_uid_is_its_own_inverse(uid: str) -> None:
    assert view.swapped_uid(view.swapped_uid(uid)) == uid


@pytest.mark.parametrize(
    "path", [*CRS.values(), "startup/ippools.yaml", "crs/ipamblocks.yaml", "crs/blockaffinities.yaml"]
)
def test_what_is_shown_and_stored_again_shows_the_same(path: str) -> None:
    for record in records(path):
        seen = view.shown(record)
        again = view.shown(view.stored(seen, record))
        assert again["metadata"].pop("generation", None) in (None, record["metadata"].get("generation"))
        seen["metadata"].pop("generation", None)
        assert again == seen
