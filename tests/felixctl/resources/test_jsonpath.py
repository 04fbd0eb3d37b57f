"""`-o jsonpath=…`: templates as kubectl takes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from felixctl.resources import jsonpath
from felixctl.resources.jsonpath import TemplateError

LIST: dict[str, Any] = {
    "items": [
        {"metadata": {"name": "a", "labels": {"k8s.io/zone": "x"}}, "spec": {"cidr": "10.1.0.0/16", "n": 3}},
        {"metadata": {"name": "b"}, "spec": {"cidr": "10.2.0.0/16", "n": 7, "disabled": True}},
    ]
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].metadata.name}", "a b"),
        (".items[*].metadata.name", "a b"),
        ("items[0].metadata.name", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[5].metadata.name}", ""),
        ("{.items[0:1].spec.n}", "3"),
        ("{$.items[::2].spec.n}", "3"),
        ("{.items[*]['metadata', 'spec'].n}", "3 7"),
        ("{.items[*].spec['cidr']}", "10.1.0.0/16 10.2.0.0/16"),
        (r"{.items[0].metadata.labels.k8s\.io/zone}", "x"),
        ("{.items[0].metadata.labels['k8s.io/zone']}", "x"),
        ("{..cidr}", "10.1.0.0/16 10.2.0.0/16"),
        ("{.items[1].spec.*}", "10.2.0.0/16 7 true"),
        ("{.items[?(@.spec.n>3)].metadata.name}", "b"),
        ("{.items[?(@.spec.disabled==true)].metadata.name}", "b"),
        ('{.items[?(@.metadata.name == "a")].spec.n}', "3"),
        ("{.items[?(@.spec.disabled)].spec.n}", "7"),
        ("{.items[?(@.spec.cidr>3)].spec.n}", ""),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.spec.n}{"\\n"}{end}', "a\t3\nb\t7\n"),
        ('{range .items[*]}{range .spec}{.n}{end}{","}{end}done', "3,7,done"),
        ("names: {.items[*].metadata.name}.", "names: a b."),
        ("{.items[0].metadata}", '{"name":"a","labels":{"k8s.io/zone":"x"}}'),
        ("{.nothing.here}", ""),
    ],
)
def test_templates_print_what_kubectl_prints(template: str, text: str) -> None:
    assert jsonpath.printed(template, LIST) == text


@pytest.mark.parametrize(
    "template",
    [
        "{.a b}",
        "{.items[}",
        "{.a",
        "a}",
        "{end}",
        "{range .a}x",
        "{.a[?(@.b==c)]}",
        "{.a[?(@.b==1 && @.c==2)]}",
        "{.a()}",
    ],
)
def test_what_is_not_understood_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        jsonpath.printed(template, LIST)


@given(st.text(alphabet="{}.[]*'\"?@()=ab\\ $:0-", max_size=20))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        jsonpath.printed(text, LIST)
    except TemplateError as refusal:
        assert str(refusal)


names = st.dictionaries(st.text(min_size=1), st.integers(), min_size=1)


@given(names)
def test_any_name_can_be_asked_for_in_brackets(mapping: dict[str, int]) -> None:
    name, value = next(iter(mapping.items()))
    quoted = "'" + "".join(f"\\{c}" if c in "'\\" else c for c in name) + "'"
    assert jsonpath.found(jsonpath.path(f"[{quoted}]"), mapping) == [value]
