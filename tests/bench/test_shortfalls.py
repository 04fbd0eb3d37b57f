"""What is known of goals out of reach belongs to a goal, is less than it, and is explained where it says."""

from __future__ import annotations

from pathlib import Path

from bench.goals import GOALS
from bench.shortfalls import SHORTFALLS

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_each_is_of_a_goal_and_less_than_it() -> None:
    goals = {(goal.bench, goal.row): goal for goal in GOALS}
    for each in SHORTFALLS:
        goal = goals[each.bench, each.row]
        assert each.reached > goal.most if goal.most is not None else each.reached < (goal.least_ratio or 0), each
    assert len({(each.bench, each.row) for each in SHORTFALLS}) == len(SHORTFALLS)


def test_each_is_explained_in_a_section_of_the_page() -> None:
    headings = {line.lstrip("# ") for line in PAGE.read_text().splitlines() if line.startswith("#")}
    assert {each.section for each in SHORTFALLS} <= headings
