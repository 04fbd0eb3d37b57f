"""Selectors: what they mean, what is refused, and the text that all agents of a cluster agree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.selector import SelectorError, parse, unique_id

Predicate = Callable[[Mapping[str, str]], bool]
Written = tuple[str, Predicate]

# Few names and values, so that labels and selectors meet; among them words that are operators elsewhere.
KEYS = ("a", "in", "has", "all", "not", "contains", "example.com/zone-1_x")
VALUES = ("", "x", "xy", "x y", 'double "', "single '", "{}", "&&")

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
labels = st.dictionaries(keys, values)
spaces = st.sampled_from(("", " ", "\t ", "  "))
gaps = st.sampled_from((" ", "\t", "  "))


def quoted(value: str) -> str:
    return f"'{value}'" if '"' in value else f'"{value}"'


@st.composite
def comparisons(draw: st.DrawFn) -> Written:
    key, value, gap = draw(keys), draw(values), draw(gaps)
    operator, holds = draw(
        st.sampled_from(
            (
                ("==", lambda found: found == value),
                ("!=", lambda found: found != value),
                ("contains", lambda found: found is not None and value in found),
                (f"starts{draw(spaces)}with", lambda found: found is not None and found.startswith(value)),
                (f"ends{draw(spaces)}with", lambda found: found is not None and found.endswith(value)),
            )
        )
    )
    return f"{key}{gap}{operator}{draw(spaces)}{quoted(value)}", lambda labels: bool(holds(labels.get(key)))


@st.composite
def memberships(draw: st.DrawFn) -> Written:
    key, members, negated = draw(keys), draw(st.lists(values, max_size=3)), draw(st.booleans())
    word = draw(st.sampled_from(("not in", "notin"))) if negated else "in"
    inside = f"{draw(spaces)},{draw(spaces)}".join(map(quoted, members))
    comma = draw(st.sampled_from(("", ","))) if members else ""
    text = f"{key}{draw(gaps)}{word}{draw(spaces)}{{{draw(spaces)}{inside}{comma}{draw(spaces)}}}"
    return text, lambda labels: (labels.get(key) in members) is not negated


@st.composite
def presences(draw: st.DrawFn) -> Written:
    key = draw(keys)
    return f"has({draw(spaces)}{key}{draw(spaces)})", lambda labels: key in labels


@st.composite
def constants(draw: st.DrawFn) -> Written:
    return f"{draw(st.sampled_from(('all', 'global')))}({draw(spaces)})", lambda labels: True


@st.composite
def negations(draw: st.DrawFn, operands: st.SearchStrategy[Written]) -> Written:
    (text, holds), marks = draw(operands), draw(st.integers(1, 3))
    sign = "".join(f"!{draw(spaces)}" for _ in range(marks))
    return f"{sign}({text})", lambda labels: holds(labels) is (marks % 2 == 0)


@st.composite
def groups(draw: st.DrawFn, operands: st.SearchStrategy[Written]) -> Written:
    parts = draw(st.lists(operands, min_size=2, max_size=3))
    operator, fold = draw(st.sampled_from((("&&", all), ("||", any))))
    joined = f"{draw(spaces)}{operator}{draw(spaces)}".join(text for text, _ in parts)
    return f"({draw(spaces)}{joined}{draw(spaces)})", lambda labels: fold(holds(labels) for _, holds in parts)


selectors = st.recursive(
    st.one_of(comparisons(), memberships(), presences(), constants()),
    lambda operands: st.one_of(negations(operands), groups(operands)),
    max_leaves=8,
)


@given(selectors, labels)
def test_a_selector_holds_exactly_where_its_parts_say(written: Written, labels: Mapping[str, str]) -> None:
    text, holds = written
    assert parse(text).matches(labels) is holds(labels)


@given(selectors, labels)
def test_the_canonical_text_means_the_same(written: Written, labels: Mapping[str, str]) -> None:
    selector = parse(written[0])
    assert parse(str(selector)).matches(labels) is selector.matches(labels)


@given(selectors)
def test_the_canonical_text_stays_as_it_is(written: Written) -> None:
    text = str(parse(written[0]))
    again = str(parse(text))
    assert str(parse(again)) == again
    assert again == text or "!!" in text  # two signs on one group collapse when they are read again


@given(st.text(alphabet=" \tabinhasl!&|()=\"'{},.%", max_size=40))
def test_any_other_text_is_refused_with_its_place(text: str) -> None:
    try:
        parse(text)
    except SelectorError as error:
        assert "column" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "b", "a b", "a == b", "'x' == a", "!", "()", '(a == "x"', ")", "a &", 'a == "x" &&', 'a in ""', 'a in {"x"',
        '"x', "%", "has (a)", "has()", "has(a", 'a in {"x" "y"}', "a in {,}", 'a = "x"', 'a == "x" b == "y"', "all",
        'a == "x" | b == "y"', 'a inx {"x"}', "\n", "a" * 513 + ' == "x"', "(" * 5000, 'a not {"x"}',
    ],
)  # fmt: skip
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match=r"column \d+"):
        parse(text)


def test_the_refusal_names_the_place_and_what_was_expected() -> None:
    with pytest.raises(SelectorError) as refused:
        parse("rack b")
    assert str(refused.value) == "selector 'rack b', column 6: an operator such as == was expected after label \"rack\""


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", "all()"),
        ("  \t", "all()"),
        ("all( )", "all()"),
        ("global()", "global()"),
        ("! (has( b)||! has(a ))", "!(has(b) || !has(a))"),
        ("a=='x'", 'a == "x"'),
        ("a == '\"'", "a == '\"'"),
        ("a in {'c', 'b', 'b',}", 'a in {"b", "c"}'),
        ("a notin {}", "a not in {}"),
        ('a startswith "x"', 'a starts with "x"'),
        ("!!has(a)", "has(a)"),
        ("! ! !has(a)", "!has(a)"),
        ("has(a) && has(b) || has(c)", "((has(a) && has(b)) || has(c))"),
        ("has(a) && (has(b) && has(c))", "(has(a) && (has(b) && has(c)))"),
        ("(((has(a))))", "has(a)"),
        ("in in {'in'}", 'in in {"in"}'),
        ("has == 'all'", 'has == "all"'),
    ],
)
def test_the_canonical_text_is_calicos(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


def test_the_unique_id_is_calicos() -> None:
    assert unique_id(parse("! (has( b)||! has(a ))")) == "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"


def test_absence_satisfies_only_the_negative_operators() -> None:
    assert [
        text
        for text in (
            "a == 'x'", "a != 'x'", "a in {'x'}", "a not in {'x'}", "a contains ''", "a starts with ''",
            "a ends with ''", "has(a)", "!has(a)",
        )
        if parse(text).matches({})
    ] == ["a != 'x'", "a not in {'x'}", "!has(a)"]  # fmt: skip
