"""Why a session ended, in words."""

from __future__ import annotations

import pytest

from bgp.notification import explain, is_more_informative


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("notification received (6,2)", "administrative shutdown (NOTIFICATION 6/2 received)"),
        ("notification sent (4,0)", "hold timer expired (NOTIFICATION 4/0 sent)"),
        ("notification sent (2,2)", "wrong AS number (NOTIFICATION 2/2 sent)"),
        ("notification received (6,99)", "session ceased (NOTIFICATION 6/99 received)"),
        ("notification received (42,1)", "unknown error (NOTIFICATION 42/1 received)"),
        ("closing connection", "closing connection"),
        ("", "ended without a reason"),
    ],
)
def test_a_reason_is_explained(reason: str, expected: str) -> None:
    assert explain(reason) == expected


def test_what_a_peer_wrote_cannot_move_a_terminals_cursor_nor_fill_a_log() -> None:
    said = explain("bye\x1b[2J\n" + "x" * 1000)
    assert said.isprintable()
    assert len(said) == 200


def test_a_bare_retry_does_not_hide_what_the_first_attempt_said() -> None:
    assert is_more_informative("closing connection", "")
    assert not is_more_informative("closing connection", "wrong AS number")
    assert is_more_informative("notification sent (2,2)", "closing connection")
