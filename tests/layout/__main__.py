"""Print what breaks a rule, rule by rule; with an argument only the lines that hold it, as a path or part of one."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.layout.rules import RULES
from tests.layout.tree import Tree

tree = Tree(Path(__file__).parents[2])
wanted = sys.argv[1] if len(sys.argv) > 1 else ""
for rule in RULES:
    if found := [line for line in rule(tree) if wanted in line]:
        print(f"{rule.__name__.replace('_', ' ')}: {len(found)}", *found, sep="\n  ")
