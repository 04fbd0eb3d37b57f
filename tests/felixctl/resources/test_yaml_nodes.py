"""Tabs, anchors and marks as Go's readers and kubectl take them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from felixctl.resources.yaml_nodes import nodes
from felixctl.resources.yaml_values import value_of


def values(text: str) -> list[Any]:
    return [value_of(node, len(text)) for node in nodes(text)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a:\t1", {"a": 1}),
        ("a\t:\t1", {"a": 1}),
        ("a: 192.0.2.98\t# tor", {"a": "192.0.2.98"}),
        ("a: x \t\nb: 1\t\n", {"a": "x", "b": 1}),
        ("a: x\ty", {"a": "x\ty"}),
        ("a: 'x\ty'\t\n", {"a": "x\ty"}),
        ("a: [1,\n\t2\t,\t3]", {"a": [1, 2, 3]}),
        ("{\n\ta: 1,\n\t\tb:\n\t2\n}", {"a": 1, "b": 2}),
        ("a: 1\n\t\n \t# comment\nb: 2", {"a": 1, "b": 2}),
        ("a: x\n \t\n \ty", {"a": "x\ny"}),
        ("-\t1\n-\t[a]\n-\t# b\n  c", [1, ["a"], "c"]),
        ("a: |\t# text\n  x\n  \ty\n", {"a": "x\n\ty\n"}),
        ("a: >-2\n   x", {"a": " x"}),
        ("a: |2+\n   x\n\n", {"a": " x\n\n"}),
        ("a: &x\t1\nb: *x\t# again", {"a": 1, "b": 1}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: {b: c?d, e: [x?, http://h/?q]}", {"a": {"b": "c?d", "e": ["x?", "http://h/?q"]}}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb:\r\n- x\r\n", {"a": 1, "b": ["x"]}),
    ],
)
def test_what_yaml_allows_is_read(text: str, meant: object) -> None:
    assert values(text) == [meant]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\ta: 1", "a tab indents this line"),
        ("a:\n\tb: 1", "a tab indents this line"),
        ("a:\n  \tb: 1", "a tab indents this line"),
        ("a: x\n\ty", "a tab indents this line"),
        ("a: |\n\tx", "a tab indents this line"),
        ("-\ta: 1", "mapping values are not allowed here"),
        ("-\t- 1", "sequence entries are not allowed here"),
        ("a: |x\n", "is followed by x"),
        ("a: *x", "undefined alias"),
        ("- " * 101, "more than 100 levels are nested"),
        ("[" * 101, "more than 100 levels are nested"),
        ("%YAML 1." + "9" * 5000, "out of range"),
        ('a: "\\UFFFFFFFF"', "out of range"),
        ('a: "\\U00110000"', "out of range"),
        ("\x00", "U+0000"),
    ],
)
def test_what_it_does_not_is_an_error(text: str, sentence: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        values(text)
    assert sentence in str(caught.value) or "#x0000" in str(caught.value)


def test_a_hundred_levels_are_read() -> None:
    assert values("[" * 100 + "]" * 100)
