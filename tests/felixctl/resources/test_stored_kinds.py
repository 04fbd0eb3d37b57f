"""What felixctl does with kinds that are stored for others: it keeps them as they are, and says that nobody acts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datastore.kinds.passthrough import PASSTHROUGH
from felixctl.resources.kinds import NOUNS, Noun
from tests.felixctl.command import Felixctl

STORED_ONLY = [noun for noun in NOUNS if noun.stored_kind in PASSTHROUGH]

SPEC = {
    "selector": "role == 'db'",
    "order": 10.5,
    "ingress": [
        {"action": "Allow", "source": {"selector": "all()"}, "a field of tomorrow": [1, None, {"z": 1, "a": 2}]}
    ],
    "another": {"z": {"y": []}, "a": False},
}
"""Nothing of it is known to this version, and its keys are in no order."""


def document(noun: Noun) -> str:
    metadata = {"name": "x", "labels": {"z": "1", "a": "2"}, "annotations": {"why": "kept"}}
    return json.dumps({"apiVersion": "projectcalico.org/v3", "kind": noun.kind, "metadata": metadata, "spec": SPEC})


def test_every_stored_kind_can_be_named() -> None:
    assert {noun.stored_kind for noun in STORED_ONLY} == PASSTHROUGH.keys()


@pytest.mark.parametrize("noun", STORED_ONLY, ids=lambda noun: noun.kind)
def test_a_stored_kind_is_kept_as_written_and_named_as_without_effect(felixctl: Felixctl, noun: Noun) -> None:
    kept_as_written(felixctl, noun)
    felixctl("create", "-f", "-", stdin=document(noun))
    found = json.loads(felixctl("get", noun.plural, "x", "-o", "json").out)
    assert json.dumps(found["spec"]) == json.dumps(SPEC), "its keys in the order in which they were written, too"


def kept_as_written(felixctl: Felixctl, noun: Noun) -> None:
    """Hold that each verb keeps an object of this kind as it is, and says that nobody acts on it."""

    def spec(word: str = noun.plural) -> Any:
        return json.loads(felixctl("get", word, "x", "-o", "json").out)["spec"]

    created = felixctl("create", "-f", "-", stdin=document(noun))
    assert created.out == f"Successfully created 1 '{noun.kind}' resource(s)\n", created.err
    assert created.err.startswith(f'notice: {noun.kind} "{"default/" if noun.namespaced else ""}x"')
    assert "is stored" in created.err
    assert [spec(word) for word in noun.aliases] == [SPEC] * len(noun.aliases), "nothing added, nothing lost"
    shown = felixctl("get", noun.plural, "x", "-o", "yaml").out
    assert "is stored" in shown.splitlines()[0]
    for verb in ("apply", "replace"):
        again = felixctl(verb, "-f", "-", stdin=shown)
        assert (again.status, spec()) == (0, SPEC)
    assert felixctl("label", noun.plural, "x", "b=3").status == 0
    patched = felixctl("patch", noun.plural, "x", "-p", '{"spec": {"another": {"a": null}}}')
    assert "is stored" in patched.err
    assert spec() == {**SPEC, "another": {"z": {"y": []}}}
    metadata = json.loads(felixctl("get", noun.plural, "x", "-o", "json").out)["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"z": "1", "a": "2", "b": "3"}, {"why": "kept"})
    assert felixctl("get", noun.plural, "-A", "-o", "wide").out.split()[0] in ("NAME", "NAMESPACE")
    assert felixctl("delete", noun.plural, "x").status == 0
    assert felixctl("get", noun.plural, "x").status == 1
