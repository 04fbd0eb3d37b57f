"""The kinds that the command line knows, by their names."""

from __future__ import annotations

from typing import Any

import pytest

from datastore.resources import KINDS
from felixctl.resources import kinds
from felixctl.resources.kinds import NOUNS, UnknownKindError


def test_every_kind_of_the_command_line_is_one_of_the_datastore() -> None:
    assert {noun.stored_kind for noun in NOUNS} <= KINDS.keys()
    assert all(noun.namespaced == KINDS[noun.stored_kind].NAMESPACED for noun in NOUNS)


def test_no_name_stands_for_two_kinds() -> None:
    words = [word for noun in NOUNS for word in {noun.kind.lower(), *noun.aliases}]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", ["ippools", "ippool", "ipp", "IPPool", "POOL"])
def test_a_kind_is_found_by_any_of_its_names_in_any_case(word: str) -> None:
    assert kinds.noun(word).kind == "IPPool"


def test_in_a_file_a_kind_is_spelled_exactly_and_may_be_the_stored_one() -> None:
    assert kinds.noun_of_kind("IPAMConfig") is kinds.noun_of_kind("IPAMConfiguration")
    with pytest.raises(UnknownKindError, match="'IPPoool' is not known: did you mean 'IPPool'"):
        kinds.noun_of_kind("IPPoool")
    with pytest.raises(UnknownKindError):
        kinds.noun_of_kind("ippool")


def test_an_unknown_kind_is_refused_with_the_nearest_or_with_all() -> None:
    with pytest.raises(UnknownKindError, match="'nodez' is not known: did you mean 'node'"):
        kinds.noun("nodez")
    with pytest.raises(UnknownKindError, match="known are nodes, ippools, "):
        kinds.noun("zzzzzz")


def test_tiers_are_ordered_by_their_order_and_those_without_one_are_last() -> None:
    tiers: list[dict[str, Any]] = [
        {"metadata": {"name": name}, "spec": {} if order is None else {"order": order}}
        for name, order in (("a", None), ("b", 20), ("c", 3.5))
    ]
    tiers.sort(key=lambda tier: kinds.order(kinds.noun("tier"), tier))
    assert [tier["metadata"]["name"] for tier in tiers] == ["c", "b", "a"]
