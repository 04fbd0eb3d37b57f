"""Which resources `-l` chooses: kubectl's list of labels, or a selector of Calico's.

Pure.
"""

from __future__ import annotations

import re

from datastore import selector
from datastore.selector import Selector

_CLAUSE = re.compile(r"\s*(?P<no>!)?\s*(?P<key>[A-Za-z0-9][\w./-]*)\s*(?:(?P<sign>!=|==?)\s*(?P<value>[\w.-]*))?\s*")


def chosen(text: str) -> Selector:
    """Return the selector that `-l` states: `rack=a,!old`, or `rack in {"a", "b"}`. Raises SelectorError."""
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    if not all(clause and not (clause["no"] and clause["sign"]) for clause in clauses):
        return selector.parse(text)
    return selector.parse(" && ".join(_condition(clause) for clause in clauses if clause))


def _condition(clause: re.Match[str]) -> str:
    if clause["sign"]:
        return f'{clause["key"]} {"!=" if clause["sign"] == "!=" else "=="} "{clause["value"]}"'
    return f"{clause['no'] or ''}has({clause['key']})"
