"""Each kind of fault has what makes it."""

from __future__ import annotations

from faults.kinds import KINDS
from faults.makers import MAKERS


def test_each_kind_has_what_makes_it() -> None:
    assert MAKERS.keys() == KINDS.keys()
