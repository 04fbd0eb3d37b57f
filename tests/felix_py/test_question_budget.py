"""How many questions strangers may have asked."""

from __future__ import annotations

from felix_py import question_budget
from felix_py.question_budget import OF_ONE, OF_STRANGERS, QuestionBudget


def taken(budget: QuestionBudget, source: str, now: float, attempts: int = 1000) -> int:
    return sum(budget.take(source, now) for _ in range(attempts))


def test_one_source_has_its_own_and_gets_it_back_with_time() -> None:
    budget = QuestionBudget(0.0)
    assert taken(budget, "a", 0.0) == OF_ONE.at_once
    assert taken(budget, "a", 1.0) == OF_ONE.per_second
    assert taken(budget, "a", 1e6) == OF_ONE.at_once
    assert taken(budget, "a", 0.0) == 0, "a clock that goes back gives nothing"


def test_all_strangers_together_have_no_more_than_a_few() -> None:
    budget = QuestionBudget(0.0)
    assert sum(taken(budget, f"10.0.0.{n}", 0.0) for n in range(100)) == OF_STRANGERS.at_once
    assert sum(taken(budget, f"10.0.1.{n}", 1.0) for n in range(100)) == OF_STRANGERS.per_second


def test_a_flood_of_strangers_takes_nothing_from_who_is_known() -> None:
    budget = QuestionBudget(0.0)
    assert budget.take("api", 0.0)
    budget.prove("api")
    for n in range(100):
        taken(budget, f"10.0.0.{n}", 0.0)
    assert taken(budget, "api", 0.0) == OF_ONE.at_once - 1


def test_who_asked_longest_ago_is_forgotten_and_a_stranger_again() -> None:
    budget = QuestionBudget(0.0)
    budget.take("api", 0.0)
    budget.prove("api")
    for n in range(question_budget.MOST_SOURCES):
        budget.take(f"s{n}", 0.0)
    assert not budget.take("api", 0.0), "strangers have nothing left"
    budget.prove("who never asked")
    assert not budget.take("who never asked", 0.0)
