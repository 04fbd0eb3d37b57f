"""Answers that hold for a while."""

from __future__ import annotations

from felix_py.pages.kept_answers import KeptAnswers


def test_an_answer_holds_until_its_time_is_over() -> None:
    kept: KeptAnswers[str] = KeptAnswers(2)
    kept.put("a", "yes", 5.0)
    assert (kept.get("a", 4.9), kept.get("a", 5.0), kept.get("b", 0.0)) == ("yes", None, None)


def test_the_one_kept_first_goes_first() -> None:
    kept: KeptAnswers[int] = KeptAnswers(2)
    for number, name in enumerate("abac"):
        kept.put(name, number, 9.0)
    assert [kept.get(name, 0.0) for name in "abc"] == [2, None, 3]
    assert len(kept) == 2
