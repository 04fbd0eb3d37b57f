"""Merge keys, tags, numbers and aliases: what is a value, and what is refused in a sentence."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from yaml.constructor import ConstructorError

from felixctl.resources.yaml_nodes import nodes
from felixctl.resources.yaml_values import value_of


def value(text: str) -> Any:
    [node] = nodes(text)
    return value_of(node, len(text))


BASE = "base: &b {ip: 1, as: 2}\nother: &o {as: 3, port: 4}\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{<<: *b, ip: 9}", {"ip": 9, "as": 2}),
        ("{ip: 9, <<: *b}", {"ip": 9, "as": 2}),
        ("{<<: [*o, *b]}", {"as": 3, "port": 4, "ip": 1}),
        ("{<<: *o, <<: *b}", {"as": 3, "port": 4, "ip": 1}),
        ("{<<: {<<: *b, as: 5}, ip: 9}", {"as": 5, "ip": 9}),
        ("{x: {<<: *b}, <<: {y: 1}}", {"x": {"ip": 1, "as": 2}, "y": 1}),
        ('{"<<": *b}', {"<<": {"ip": 1, "as": 2}}),
        ("{x: <<}", {"x": "<<"}),
    ],
)
def test_merge_keys_give_what_a_mapping_does_not_have_itself(written: str, meant: object) -> None:
    assert value(f"{BASE}merged: {written}")["merged"] == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1: a", {"1": "a"}),
        ("true: a", {"true": "a"}),
        ("1.5: a", {"1.5": "a"}),
        ("!!str 1", "1"),
        ("!!int '0x10'", 16),
        ("!!float 1", 1.0),
        ("!!bool 'True'", True),
        ("!!null ''", None),
        ("!!map {a: 1}", {"a": 1}),
        ("!!seq [1]", [1]),
        ("!!timestamp 2026-01-01", "2026-01-01"),
        ("!!binary aGVs\n bG8=", "hello"),
        ("18446744073709551615", (1 << 64) - 1),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (".inf", ".inf"),
        (".nan", ".nan"),
    ],
)
def test_values_are_those_that_were_meant(text: str, meant: object) -> None:
    assert value(text) == meant


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("{<<: {a: 1}, a: 1, a: 2}", "key 'a' is given twice"),
        ("1: a\n'1': b", "key '1' is given twice"),
        ("{<<: 1}", "<< takes a mapping, or a list of mappings"),
        ("{<<: [{a: 1}, 1]}", "<< takes a mapping, or a list of mappings"),
        ("0x10: a", "key 0x10 is not text: put it in quotes"),
        ("~: a", "key ~ is not text: put it in quotes"),
        ("? [a]\n: b", "a list or a mapping stands where a key should be"),
        ("{{a: 1}: b}", "a list or a mapping stands where a key should be"),
        ("!!int abc", '"abc" is not what its tag !!int says'),
        ("!!int 1_000", '"1_000" is not what its tag !!int says'),
        ("!!float abc", '"abc" is not what its tag !!float says'),
        ("!!float .inf", '".inf" is not what its tag !!float says'),
        ("!!bool abc", '"abc" is not what its tag !!bool says'),
        ("!!null abc", '"abc" is not what its tag !!null says'),
        ("!!int [1]", "tag !!int means nothing here"),
        ("!!map abc", "tag !!map means nothing here"),
        ("!!set {a}", "tag !!set means nothing here"),
        ("!!omap [a: 1]", "tag !!omap means nothing here"),
        ("!!pairs [a: 1]", "tag !!pairs means nothing here"),
        ("!mine x", "tag !mine means nothing here"),
        ("!!python/object/apply:os.system [ls]", "tag !!python/object/apply:os.system means nothing here"),
        ("!!binary a", "is not base64"),
        ("!!binary /w==", "no UTF-8 text"),
        ("1" * 5000, "has more than 64 bits"),
        ("0x" + "f" * 17, "has more than 64 bits"),
        ("-9223372036854775809", "has more than 64 bits"),
        ("1e999", "the number 1e999 is too large"),
        ('"\\ud800"', "half of a surrogate pair stands alone"),
        ('"\\ude00\\ud83d"', "half of a surrogate pair stands alone"),
        ("&x [*x]", "it contains itself through an alias"),
        ("&x {a: {<<: *x}}", "it contains itself through an alias"),
    ],
)
def test_what_is_no_value_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConstructorError) as caught:
        value(text)
    assert sentence in str(caught.value)


def chain(first: str, step: str, levels: int) -> str:
    return "\n".join([f"l0: &l0 {first}", *(step.format(i=i, before=i - 1) for i in range(1, levels + 1))])


@pytest.mark.parametrize(
    "text",
    [
        chain("[x, x, x, x, x, x, x, x, x]", "l{i}: &l{i} [" + ", ".join(["*l{before}"] * 9) + "]", 50),
        chain("{k: " + "x" * 100 + "}", "l{i}: &l{i} {{a: *l{before}, b: *l{before}}}", 50),
        "x: &x " + "z" * 20_000 + "\ny: [" + "*x, " * 1000 + "]",
        "x: &x {" + ", ".join(f"k{i}: 1" for i in range(2000)) + "}\ny: {<<: [" + "*x, " * 2000 + "]}",
        chain("{k0: 1}", "l{i}: &l{i} {{<<: *l{before}, k{i}: 1}}", 2000),
    ],
)
def test_aliases_stand_for_a_bounded_amount(text: str) -> None:
    with pytest.raises(ConstructorError, match="its aliases stand for more than 1000000 characters"):
        value(text)


def test_aliases_do_not_nest_further_than_the_reader_can_go() -> None:
    with pytest.raises(ConstructorError, match="more than 100 levels are nested through aliases"):
        value(chain("[x]", "l{i}: &l{i} [*l{before}]", sys.getrecursionlimit()))


def test_some_aliases_are_taken_and_shared() -> None:
    found = value("x: &x {a: [1]}\ny: [" + "*x, " * 1000 + "]")
    assert found["y"] == [{"a": [1]}] * 1000
