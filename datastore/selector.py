"""Selectors over labels: `has(rack) && zone != "b"` parsed, evaluated, printed.

Pure. Every selector of the cluster is written in this one language. `str(selector)` is its canonical text, the one
that Calico prints and hashes, so `unique_id` names a selector the same way on a real node.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NoReturn, Protocol

from msgspec import Struct

Labels = Mapping[str, str]

MAX_DEPTH = 100
"""Parentheses nested deeper are refused, since the parser recurses. Real selectors nest three or four."""


class SelectorError(ValueError):
    """The text is not a selector; the message says where and why."""


class Selector(Protocol):
    """A condition on labels. Its text is canonical: equal texts, equal meaning."""

    def matches(self, labels: Labels) -> bool: ...


class All(Struct, frozen=True):
    """`all()`, and the empty text."""

    def matches(self, labels: Labels) -> bool:
        return True

    def __str__(self) -> str:
        return "all()"


class Global(Struct, frozen=True):
    """`global()`: matches like `all()`. Which fields may use it is decided by their kinds."""

    def matches(self, labels: Labels) -> bool:
        return True

    def __str__(self) -> str:
        return "global()"


class Has(Struct, frozen=True):
    label: str

    def matches(self, labels: Labels) -> bool:
        return self.label in labels

    def __str__(self) -> str:
        return f"has({self.label})"


class LabelComparison(Struct, frozen=True):
    """`label operator "value"`. Only `!=` holds for a label that is absent."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Labels) -> bool:
        found = labels.get(self.label)
        if found is None:
            return self.operator == "!="
        return _COMPARE[self.operator](found, self.value)

    def __str__(self) -> str:
        return f"{self.label} {self.operator} {_quoted(self.value)}"


class Membership(Struct, frozen=True):
    """`label in {…}`, or `not in`, which holds for a label that is absent."""

    label: str
    values: frozenset[str]
    negated: bool = False

    def matches(self, labels: Labels) -> bool:
        return (labels.get(self.label) in self.values) is not self.negated

    def __str__(self) -> str:
        values = ", ".join(map(_quoted, sorted(self.values)))
        return f"{self.label} {'not in' if self.negated else 'in'} {{{values}}}"


class Not(Struct, frozen=True):
    operand: Selector

    def matches(self, labels: Labels) -> bool:
        return not self.operand.matches(labels)

    def __str__(self) -> str:
        return f"!{self.operand}"


class And(Struct, frozen=True):
    operands: tuple[Selector, ...]

    def matches(self, labels: Labels) -> bool:
        return all(operand.matches(labels) for operand in self.operands)

    def __str__(self) -> str:
        return f"({' && '.join(map(str, self.operands))})"


class Or(Struct, frozen=True):
    operands: tuple[Selector, ...]

    def matches(self, labels: Labels) -> bool:
        return any(operand.matches(labels) for operand in self.operands)

    def __str__(self) -> str:
        return f"({' || '.join(map(str, self.operands))})"


@lru_cache(maxsize=4096)
def parse(text: str) -> Selector:
    """Return the selector that `text` writes; the empty text selects everything.

    Raises SelectorError: it is none; the message names the column, counted from 1.
    """
    return _Parser(text).parse()


def unique_id(selector: Selector) -> str:
    """Return Calico's name of the selector: `s:` and a hash of the canonical text."""
    digest = hashlib.sha224(f"s:{selector}".encode()).digest()
    return f"s:{urlsafe_b64encode(digest).decode().rstrip('=')}"


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "==": str.__eq__,
    "!=": str.__ne__,
    "contains": str.__contains__,
    "starts with": str.startswith,
    "ends with": str.endswith,
}

_SPACE = re.compile(r"[ \t]*")
_ALL = re.compile(r"all\([ \t]*\)")
_GLOBAL = re.compile(r"global\([ \t]*\)")
_HAS = re.compile(r"has\([ \t]*([A-Za-z0-9_./-]{1,512})[ \t]*\)")
_LABEL = re.compile(r"[A-Za-z0-9_./-]{1,512}")
_STRING = re.compile(r"\"([^\"]*)\"|'([^']*)'")
# Words count as operators only here, after a label: labels may be called `in`, `has` or `contains`.
_OPERATOR = re.compile(r"==|!=|(?:contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)\b", re.ASCII)


class _Parser:
    """One text, read from left to right: or-groups of and-groups of operations."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def parse(self) -> Selector:
        self._skip()
        if self.at == len(self.text):
            return All()
        selector = self._any_of()
        if self.at < len(self.text):
            self._fail(f"{self.text[self.at]!r} was not expected")
        return selector

    def _any_of(self) -> Selector:
        operands = [self._all_of()]
        while self._take("||"):
            operands.append(self._all_of())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _all_of(self) -> Selector:
        operands = [self._operation()]
        while self._take("&&"):
            operands.append(self._operation())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _operation(self) -> Selector:
        negated = False
        while self._take("!"):
            negated = not negated
        operand = self._group() if self._take("(") else self._condition()
        return Not(operand) if negated else operand

    def _group(self) -> Selector:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} parentheses within each other")
        selector = self._any_of()
        if not self._take(")"):
            self._fail("a closing parenthesis is missing")
        self.depth -= 1
        return selector

    def _condition(self) -> Selector:
        if self._match(_ALL):
            return All()
        if self._match(_GLOBAL):
            return Global()
        if has := self._match(_HAS):
            return Has(has[1])
        label = self._match(_LABEL)
        if label is None:
            self._fail("a label or has(label) was expected")
        operator = self._match(_OPERATOR)
        if operator is None:
            self._fail(f'an operator such as == was expected after label "{label[0]}"')
        match operator[0].replace(" ", "").replace("\t", ""):
            case "in":
                return Membership(label[0], self._set())
            case "notin":
                return Membership(label[0], self._set(), negated=True)
            case "startswith":
                return LabelComparison(label[0], "starts with", self._string())
            case "endswith":
                return LabelComparison(label[0], "ends with", self._string())
            case other:
                return LabelComparison(label[0], other, self._string())

    def _set(self) -> frozenset[str]:
        if not self._take("{"):
            self._fail("a set such as {'a', 'b'} was expected")
        values: set[str] = set()
        while not self._take("}"):
            values.add(self._string())
            if not self._take(",") and self.text[self.at : self.at + 1] != "}":
                self._fail("a comma or the closing brace of the set was expected")
        return frozenset(values)

    def _string(self) -> str:
        found = self._match(_STRING)
        if found is None:
            self._fail("a string in quotes was expected")
        return found[1] if found[1] is not None else found[2]

    def _take(self, symbol: str) -> bool:
        if not self.text.startswith(symbol, self.at):
            return False
        self.at += len(symbol)
        self._skip()
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
            self._skip()
        return found

    def _skip(self) -> None:
        space = _SPACE.match(self.text, self.at)
        if space:
            self.at = space.end()

    def _fail(self, why: str) -> NoReturn:
        raise SelectorError(f"selector {self.text!r}, column {self.at + 1}: {why}")


def _quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'
