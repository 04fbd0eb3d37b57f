"""Which password a session has, and why it is held back or in doubt: each row of the table in the module."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bgp.passwords import NO_PASSWORD, NOT_READ, KnownSecret, KnownSecrets, secret_key, session_password
from datastore.kinds.bgp import Password

ASKED = Password.model_validate({"secretKeyRef": {"name": "bgp", "key": "rack1"}})
FORBIDDEN = "watch secrets: it is forbidden (403)"


def secrets(**known: KnownSecret) -> KnownSecrets:
    return KnownSecrets("kube-system", known)


def read(values: Mapping[str, bytes] | None = None, trouble: str = "") -> KnownSecrets:
    return secrets(bgp=KnownSecret(True, values, trouble))


def test_a_secret_that_is_read_gives_the_password_of_the_key() -> None:
    found = session_password(ASKED, read({"rack1": "pä ss".encode(), "rack2": b"other"}))
    assert (found.text, found.held_back, found.doubt) == ("pä ss", None, "")


@pytest.mark.parametrize("asked", [None, Password()])
def test_a_session_that_asks_for_none_has_none(asked: Password | None) -> None:
    assert session_password(asked, None) == session_password(asked, secrets()) == NO_PASSWORD
    assert asked is None or secret_key(asked) is None


def test_a_secret_that_may_no_longer_be_read_leaves_the_last_password_in_doubt() -> None:
    found = session_password(ASKED, read({"rack1": b"old"}, FORBIDDEN))
    assert (found.text, found.held_back) == ("old", None)
    assert found.doubt == f"Secret kube-system/bgp cannot be read any more: {FORBIDDEN}"


def test_what_the_agent_before_has_read_is_used_and_in_doubt_until_there_is_an_answer() -> None:
    found = session_password(ASKED, secrets(bgp=KnownSecret(values={"rack1": b"old"})))
    assert (found.text, found.held_back) == ("old", None)
    assert (
        found.doubt == "Secret kube-system/bgp has not been read yet: what the API server answers is in the agent's log"
    )


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (None, NOT_READ),
        (secrets(), "Secret kube-system/bgp has not been read yet: what the API server answers is in the agent's log"),
        (
            secrets(bgp=KnownSecret()),
            "Secret kube-system/bgp has not been read yet: what the API server answers is in the agent's log",
        ),
        (read(None), "there is no Secret kube-system/bgp"),
        (read(None, FORBIDDEN), f"Secret kube-system/bgp cannot be read: {FORBIDDEN}"),
        (read({"rack2": b"x"}), 'Secret kube-system/bgp has no key "rack1"'),
        (
            read({"rack2": b"x"}, FORBIDDEN),
            f'Secret kube-system/bgp has no key "rack1"; Secret kube-system/bgp cannot be read any more: {FORBIDDEN}',
        ),
    ],
)
def test_a_password_that_is_not_known_holds_the_session_back(known: KnownSecrets | None, reason: str) -> None:
    found = session_password(ASKED, known)
    assert (found.text, found.held_back) == (None, reason)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "is empty"),
        (b"hunter2\n", "ends with a line break"),
        (b"hunter2\r\n", "ends with a line break"),
        (b"hun\nter2", "has characters that cannot be printed"),
        (b"hunter2\xff", "is not text in UTF-8"),
        (b"hunter2" * 12, "has 84 bytes, and the kernel's TCP MD5 takes 80 at most"),
    ],
)
def test_a_value_that_is_no_password_holds_the_session_back_and_is_not_told(value: bytes, reason: str) -> None:
    found = session_password(ASKED, read({"rack1": value}))
    assert found.text is None
    assert f'the password in Secret kube-system/bgp, key "rack1", {reason}' in (found.held_back or "")
    assert "hunter" not in (found.held_back or "")


@pytest.mark.parametrize("name", [None, "", "bgp,metadata.namespace=default", "Bgp"])
def test_a_reference_without_a_name_that_a_secret_can_have_names_none(name: str | None) -> None:
    asked = Password.model_validate({"secretKeyRef": {"name": name, "key": "rack1"}})
    reason = f"{name!r} is no name of a Secret that a password can be in"
    assert session_password(asked, read({"rack1": b"x"})).held_back == reason
    assert secret_key(asked) is None
    assert secret_key(ASKED) == ("bgp", "rack1")


def test_no_text_of_what_is_known_holds_a_password() -> None:
    known = read({"rack1": b"hunter2"})
    assert "hunter2" not in f"{known} {session_password(ASKED, known)}"
