"""Which objects documents mean, and what is said of those that mean none."""

from __future__ import annotations

from typing import Any

import pytest

from felixctl.resources import contents, view
from felixctl.resources.documents import Document, read
from felixctl.resources.manifests import FileContents, manifests_in


def document(place: str = "f", kind: Any = "BGPPeer", version: Any = view.SHOWN, **metadata: Any) -> Document:
    return Document(place, {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}})


FOREIGN = [
    (document(kind="Profile"), "resource kind 'Profile' of Calico is not supported"),
    (document(kind="BlockAffinity"), 'BlockAffinity "x" is written by IPAM only'),
    (document(kind="BGPPear"), "resource kind 'BGPPear' is not known: did you mean 'BGPPeer'?"),
    (document(kind="NetworkPolicy", version="networking.k8s.io/v1"), "that one is of projectcalico.org/v3"),
    (document(kind="Deployment", version="apps/v1"), "Deployment of apps/v1 is no resource of Calico's"),
    (document(kind="ConfigMap", version="v1"), "ConfigMap of v1 is no resource of Calico's"),
]


@pytest.mark.parametrize(("foreign", "sentence"), FOREIGN)
def test_a_kind_that_is_not_ours_is_refused_or_left_out_by_name(foreign: Document, sentence: str) -> None:
    ours = document("g")
    refused = manifests_in([foreign, ours])
    assert [one.place for one in refused.manifests] == ["g"]
    assert sentence in refused.mistakes[0]
    assert refused.mistakes[0].endswith("(--skip-unsupported leaves it out)")
    left_out = manifests_in([foreign, ours], skip_unsupported=True)
    assert ([one.place for one in left_out.manifests], left_out.mistakes) == (["g"], [])
    assert sentence in left_out.skipped[0]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Document("f", {"spec": {}}), "f: apiVersion and kind are missing, so this is no resource"),
        (Document("f", {"kind": "Node"}), "f: apiVersion is missing"),
        (Document("f", {"apiVersion": view.SHOWN}), "f: kind is missing"),
        (Document("f", {"apiVersion": view.SHOWN, "kind": "Node"}), "f: metadata.name is missing"),
        (Document("f", {"apiVersion": view.SHOWN, "kind": "Node", "metadata": 3}), "f: metadata.name is missing"),
        (document(name=1), 'f: metadata.name is 1, a number: put it in quotes, "1"'),
        (document(name=True), 'f: metadata.name is true, a boolean: put it in quotes, "true"'),
        (document(name=["x"]), "f: metadata.name is a list, and should be a text"),
        (document(kind={}), "f: kind is a mapping, and should be a text"),
        (document(version="projectcalico.org/v4"), "'projectcalico.org/v4' is not known for BGPPeer"),
        (document(version="v1"), "apiVersion 'v1' is not known for BGPPeer: use projectcalico.org/v3"),
        (document(namespace="web"), "metadata.namespace is 'web', and a BGPPeer is in no namespace"),
        (document(kind="NetworkPolicy", namespace=5), "metadata.namespace is 5, a number: put it in quotes"),
        (document(kind="NetworkPolicy", namespace="a"), "metadata.namespace is 'a', and -n asks for 'web'"),
    ],
)
def test_what_names_no_object_is_a_sentence_and_is_never_left_out(wrong: Document, sentence: str) -> None:
    found = manifests_in([wrong], "web", skip_unsupported=True)
    assert (found.manifests, found.skipped) == ([], [])
    assert sentence in found.mistakes[0]


def test_the_second_of_two_documents_for_one_object_is_named_with_the_first() -> None:
    found = manifests_in([document("f"), document("g", version=view.STORED), document("h", name="y")])
    assert found.mistakes == ['g: BGPPeer "x" is given twice, first in f']


def test_a_document_without_a_namespace_is_in_the_one_that_was_asked_for() -> None:
    def namespaces(batch: FileContents) -> list[str | None]:
        return [one.key.namespace for one in batch.manifests]

    documents = [document(kind="NetworkPolicy"), document(kind="NetworkSet", namespace="web"), document()]
    assert namespaces(manifests_in(documents)) == ["default", "web", None]
    assert namespaces(manifests_in(documents, "web")) == ["web", "web", None]


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n, labels: {f: 1.10, o: 0o17, e: 1e3, i: 5}}}",
        "{apiVersion: v1, kind: Node, metadata: {name: n, generation: 0o17, labels: {f: 1.10, o: 0o17, e: 1e3, i: 5}}}",
    ],
)
def test_a_number_that_should_be_a_text_is_quoted_as_it_was_written(text: str) -> None:
    """Printed from the number, 1.10 would be proposed as "1.1", another label."""
    [one] = manifests_in(read(text, "f").documents).manifests
    assert list(contents.mistakes(one)) == [
        f'metadata.labels.{key} is {value}, a number: put it in quotes, "{value}"'
        for key, value in (("f", "1.10"), ("o", "0o17"), ("e", "1e3"), ("i", "5"))
    ]


def test_a_name_that_is_a_number_is_quoted_as_it_was_written() -> None:
    text = '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": 1.10}}'
    assert manifests_in(read(text, "f").documents).mistakes == [
        'f, line 1: metadata.name is 1.10, a number: put it in quotes, "1.10"'
    ]
