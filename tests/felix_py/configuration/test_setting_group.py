"""A group of settings: what is given, what is read from texts, and the defaults of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from felix_py.configuration.setting_group import Group, Setting, TextRefused


def setting(variable: str, default: int) -> Any:
    return Setting(variable, default, "a number", int)


class Base(Group):
    first: int = setting("FIRST", 1)
    second: int
    third: str = "fixed"


class Pair(Base):
    second: int = setting("SECOND", 2)


def test_what_is_not_given_is_its_default() -> None:
    pair = Pair.read({"SECOND": "7", "THIRD": "8"}, third="own")
    assert (pair.first, pair.second, pair.third) == (1, 7, "own")
    assert (pair.gives("first"), pair.gives("second"), pair.gives("third")) == (False, True, True)


def test_a_text_that_is_refused_names_its_variable_and_the_first_of_the_class_goes_first() -> None:
    with pytest.raises(TextRefused, match="invalid literal") as refused:
        Pair.read({"SECOND": "x", "FIRST": "y"})
    assert refused.value.variable == "FIRST"


def test_settings_have_the_order_in_which_fields_are_first_named() -> None:
    assert [(name, one.variable) for name, one in Pair.settings()] == [("first", "FIRST"), ("second", "SECOND")]


def test_groups_of_one_class_are_equal_with_equal_values() -> None:
    assert Pair(second=2) == Pair()
    assert Pair(second=3) != Pair()
    assert Pair() != Base()


def test_a_copy_has_what_was_given_before() -> None:
    first = Pair(first=5)
    copy = first.replace(second=6)
    assert (copy.first, copy.second, first.second) == (5, 6, 2)
    assert repr(copy) == "Pair(first=5, second=6)"


def test_a_group_is_frozen_and_takes_no_other_field() -> None:
    pair = Pair()
    with pytest.raises(AttributeError, match="Pair cannot be changed"):
        pair.first = 3
    with pytest.raises(TypeError, match="Pair has no field fourth"):
        Pair(fourth=4)
