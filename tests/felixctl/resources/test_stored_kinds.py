"""What felixctl does with kinds that are stored for others: it keeps them as they are, and says that nobody acts."""

from __future__ import annotations

import json

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
    applied = felixctl("apply", "-f", "-", stdin=document(noun))
    assert applied.out == f"Successfully applied 1 '{noun.kind}' resource(s)\n"
    assert applied.err.startswith(f'notice: {noun.kind} "{"default/" if noun.namespaced else ""}x"')
    assert "it is stored" in applied.err
    for word in noun.aliases:
        found = json.loads(felixctl("get", word, "x", "-o", "json").out)
        assert json.dumps(found["spec"]) == json.dumps(SPEC), "nothing added, nothing lost, keys as they were written"
    assert found["metadata"]["labels"] == {"z": "1", "a": "2"}
    assert "it is stored" in felixctl("get", noun.plural, "x", "-o", "yaml").out.splitlines()[0]
    again = felixctl("replace", "-f", "-", stdin=felixctl("get", noun.plural, "x", "-o", "yaml").out)
    assert (again.status, json.loads(felixctl("get", noun.plural, "x", "-o", "json").out)["spec"]) == (0, SPEC)
    patched = felixctl("patch", noun.plural, "x", "-p", '{"spec": {"another": {"a": null}}}')
    assert "it is stored" in patched.err
    spec = {**SPEC, "another": {"z": {"y": []}}}
    assert json.loads(felixctl("get", noun.plural, "x", "-o", "json").out)["spec"] == spec
    assert felixctl("get", noun.plural, "-o", "wide").out.split()[0] in ("NAME", "NAMESPACE")
    assert felixctl("delete", noun.plural, "x").status == 0
    assert felixctl("get", noun.plural, "x").status == 1
