"""What a token says of itself, whoever wrote it."""

from __future__ import annotations

import pytest

from felix_py.pages.token_claims import TokenClaims, claims_of
from tests.felix_py.tokens import token, token_of


def test_audiences_and_end_are_read() -> None:
    assert claims_of(token(aud=["felix-py", "other"], exp=1_900_000_000)) == TokenClaims(
        ("felix-py", "other"), 1_900_000_000.0
    )
    assert claims_of(token(aud="felix-py")) == TokenClaims(("felix-py",), None)


@pytest.mark.parametrize("claims", [{}, {"aud": None}, {"aud": [7, None]}, {"aud": {}, "exp": True}, {"exp": "soon"}])
def test_claims_of_another_form_say_nothing(claims: dict[str, object]) -> None:
    assert claims_of(token(**claims)) == TokenClaims()


@pytest.mark.parametrize("text", ["", "admin", "a.b", "..", "a.b.c", "a.%%%.c", "a.W10.c", "a.é.c", "a.b.c.d"])
def test_what_is_no_json_web_token_has_none(text: str) -> None:
    assert claims_of(text) is None


def test_claims_nested_without_end_are_none() -> None:
    assert claims_of(token_of(b"[" * 100_000)) is None


def test_an_end_beyond_all_numbers_is_no_claim_of_the_api_servers() -> None:
    assert claims_of(token(aud="felix-py", exp=10**400)) is None
