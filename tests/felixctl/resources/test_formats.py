"""`-o jsonpath=… | custom-columns=…` and `-l`: what kubectl's and calicoctl's users type."""

from __future__ import annotations

import pytest

from felixctl.resources import formats
from felixctl.resources.kinds import noun
from tests.felixctl.resources.test_jsonpath import LIST


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
def test_an_unknown_format_is_refused(written: str, sentence: str) -> None:
    with pytest.raises(formats.FormatError, match=sentence.replace("[", r"\[")):
        formats.checked(written)
