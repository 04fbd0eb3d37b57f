"""What happened to few prefixes is known one by one, and of many that it may be any."""

from __future__ import annotations

from felix_py.routes.touched import MOST, Touched
from net.prefix import Prefix

FEW = [Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.1.2/32")]
MANY = [Prefix((n << 8).to_bytes(4), 24) for n in range(MOST)]


def test_at_first_it_may_be_any_and_then_what_was_added() -> None:
    touched = Touched()
    touched.add(FEW)
    assert touched.take() is None
    assert touched.take() == set()
    touched.add(FEW[:1])
    touched.add(FEW)
    assert touched.take() == set(FEW)
    assert touched.take() == set()


def test_of_more_than_so_many_it_may_be_any_until_it_is_taken() -> None:
    touched = Touched()
    touched.take()
    touched.add(MANY)
    touched.add(FEW)
    touched.add(FEW)
    assert touched.take() is None
    touched.add(MANY)
    assert touched.take() == set(MANY)
