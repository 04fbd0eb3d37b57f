"""Why a session ended, in words."""

from __future__ import annotations

import pytest

from bgp.notification import explain, is_more_informative, is_silent, refuses_router_id


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("notification received (6,2)", "administrative shutdown (NOTIFICATION 6/2 received)"),
        ("notification sent (4,0)", "hold timer expired (NOTIFICATION 4/0 sent)"),
        ("notification sent (2,2)", "wrong AS number (NOTIFICATION 2/2 sent)"),
        ("notification received (6,99)", "session ceased (NOTIFICATION 6/99 received)"),
        ("notification received (42,1)", "unknown error (NOTIFICATION 42/1 received)"),
        ("closing connection", "closing connection"),
        ("stop, message [removed]", "it was taken out of ExaBGP's configuration"),
        ("", "ended without a reason"),
    ],
)
def test_a_reason_is_explained(reason: str, expected: str) -> None:
    assert explain(reason) == expected


def test_what_a_peer_wrote_cannot_move_a_terminals_cursor_nor_fill_a_log() -> None:
    explained = explain("bye\x1b[2J\n" + "x" * 1000)
    assert explained.isprintable()
    assert len(explained) == 200


def test_a_bare_retry_does_not_hide_what_the_first_attempt_said() -> None:
    assert is_more_informative("closing connection", "")
    assert not is_more_informative("closing connection", "wrong AS number")
    assert is_more_informative("notification sent (2,2)", "closing connection")


def test_only_an_end_without_notification_is_silent() -> None:
    assert is_silent("closing connection")
    assert not is_silent("notification received (6,2)")
    assert not is_silent("")


def test_a_router_id_that_is_refused_is_told_from_a_wrong_as() -> None:
    assert refuses_router_id("peer reset, message [notification sent (2,3)] error[BGP Identifier collision]")
    assert not refuses_router_id("notification received (2,2)")
    assert not refuses_router_id("closing connection")
