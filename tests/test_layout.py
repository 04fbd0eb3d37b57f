"""The tree keeps its rules: tests/layout/rules.py has them, and tests/layout/test_rules.py shows that each can fail."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from tests.layout.rules import RULES, Rule
from tests.layout.tree import PACKAGES, Tree

TREE = Tree(Path(__file__).parents[1])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    broken = list(rule(TREE))
    assert not broken, "\n".join(broken)


def test_one_distribution_owns_our_packages() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["felix-py"])) == {"felix-py"}, f"{package} is also installed by others"
