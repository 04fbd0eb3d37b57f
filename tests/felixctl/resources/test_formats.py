"""`-o jsonpath=… | custom-columns=…` and `-l`: what kubectl's and calicoctl's users type."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.selector import SelectorError
from felixctl.resources import formats, jsonpath, selection
from felixctl.resources.jsonpath import TemplateError
from felixctl.resources.kinds import noun
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed

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
def test_templates_say_what_kubectl_says(template: str, text: str) -> None:
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


def test_columns_are_the_kinds_own_or_fields() -> None:
    assert formats.columns(noun("pool"), LIST["items"], "name,CIDR,N:.spec.n,OFF:{.spec.disabled}", 0) == (
        "NAME   CIDR          N   OFF      \na      10.1.0.0/16   3   <none>   \nb      10.2.0.0/16   7   true     \n\n"
    )


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("xml", "the format is not known: use ps, wide, yaml"),
        ("wide=3", "the format is not known"),
        ("go-template={{.a}}", "use jsonpath instead"),
        ("jsonpath", "a template is missing"),
        ("jsonpath={.a", "a brace is not closed"),
        ("custom-columns=A:.b[", "is not understood"),
    ],
)
def test_a_form_that_is_none_is_told(written: str, sentence: str) -> None:
    with pytest.raises(formats.FormatError, match=sentence.replace("[", r"\[")):
        formats.checked(written)


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("", [1, 2, 3]),
        ("rack=a", [1]),
        ("rack==a", [1]),
        ("rack!=a", [2, 3]),
        ("rack", [1, 2]),
        ("!rack", [3]),
        ("rack,zone!=x", [2]),
        ('rack in {"a", "b"}', [1, 2]),
        ('rack == "a" || !has(rack)', [1, 3]),
    ],
)
def test_labels_choose_as_kubectls_and_as_calicos(text: str, matched: list[int]) -> None:
    labels = {1: {"rack": "a", "zone": "x"}, 2: {"rack": "b"}, 3: dict[str, str]()}
    assert [number for number, own in labels.items() if selection.chosen(text).matches(own)] == matched


def test_a_choice_without_sense_is_refused() -> None:
    with pytest.raises(SelectorError):
        selection.chosen("rack=a,,")


def test_the_command_prints_in_these_forms(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    assert felixctl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").out == "node-1 node-2 node-3"
    assert felixctl("get", "node", "node-2", "-o", "jsonpath={.metadata.name}").out == "node-2"
    wide = felixctl("get", "nodes", "-o", "custom-columns=NAME,ASN,IPV4,IPV6").out
    assert wide == felixctl("get", "nodes", "-o", "wide").out
    felixctl("label", "node", "node-2", "rack=a")
    assert felixctl("get", "nodes", "-l", "rack=a", "-o", "name").out == "node/node-2\n"
    assert felixctl("get", "nodes", "-l", "rack=", "-o", "name").out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "custom-columns=NOPE"],
        ["-o", "jsonpath={.a"],
        ["-l", "a b"],
        ["node-1", "-l", "a"],
        ["-o", "go-template=x"],
    ],
)
def test_a_form_that_is_misused_ends_with_2(felixctl: Felixctl, arguments: list[str]) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    ended = felixctl("get", "nodes", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("felixctl: get")
