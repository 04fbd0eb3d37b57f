"""manifests/crds/crds.yaml says what the kinds say."""

from __future__ import annotations

from tests import definitions


def test_the_definitions_are_as_the_kinds_make_them() -> None:
    assert definitions.PATH.read_text() == definitions.text(), "run `python -m tests.definitions`"
