"""How many questions strangers may have asked."""

from __future__ import annotations

from felix_py.pages import question_budget
from felix_py.pages.question_budget import OF_ONE, OF_STRANGERS, QuestionBudget


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


def test_who_asks_in_vain_asks_ever_more_slowly_until_he_has_been_quiet() -> None:
    budget, asked, hour = QuestionBudget(0.0), 0, 3600
    for second in range(hour):
        if budget.take("a", second):
            asked += 1
            budget.was_in_vain("a", second)
    assert asked <= 2 * OF_ONE.at_once + hour * OF_ONE.least_per_second
    quiet = hour + OF_ONE.at_once / OF_ONE.least_per_second
    assert taken(budget, "a", quiet) == OF_ONE.at_once
    assert taken(budget, "a", quiet + 1) == OF_ONE.per_second


def test_a_flood_from_everywhere_costs_the_least_of_the_rates_in_the_end() -> None:
    budget, asked, seconds = QuestionBudget(0.0), 0, 2000
    for number in range(seconds * 10):
        source = f"10.{number % 7}.0.{number % 250}"
        if budget.take(source, number / 10):
            asked += 1
            budget.was_in_vain(source, number / 10)
    assert asked <= 2 * OF_STRANGERS.at_once + seconds * OF_STRANGERS.least_per_second


def test_who_is_known_is_not_slowed_down_by_what_others_ask_through_him() -> None:
    budget = QuestionBudget(0.0)
    budget.take("api", 0.0)
    budget.prove("api")
    for _ in range(20):
        budget.was_in_vain("api", 0.0)
    taken(budget, "api", 0.0)
    assert taken(budget, "api", 1.0) == OF_ONE.per_second


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
