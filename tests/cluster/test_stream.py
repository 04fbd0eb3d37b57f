"""What a steady ping says at its end is counted with what its kernel has heard."""

from __future__ import annotations

import pytest

from lab.state_model import PingCount
from tests.cluster.stream import counted


def counters(sent: int, answers: int) -> str:
    return f"Icmp: InMsgs InEchos InEchoReps OutMsgs OutEchos\nIcmp: {answers + 9} 4 {answers} {sent + 4} {sent}\n"


@pytest.mark.parametrize(
    ("answers", "heard", "lost"),
    [
        (100, "100 packets received, 0% packet loss", 0),
        (100, "82 packets received, 18% packet loss", 0),
        (99, "99 packets received, 1% packet loss", 1),
        (100, "99 packets received, 1 duplicates, 1% packet loss", 1),
        (103, "100 packets received, 3 duplicates, 0% packet loss", 0),
    ],
)
def test_what_ping_did_not_hear_is_not_lost_and_what_came_twice_makes_nothing_good(
    answers: int, heard: str, lost: int
) -> None:
    said = f"--- 10.65.0.1 ping statistics ---\n100 packets transmitted, {heard}\n"
    assert counted(counters(7, 5), said + counters(107, 5 + answers)) == PingCount(100, lost)


def test_a_ping_that_was_counted_and_not_sent_is_not_lost() -> None:
    said = "--- 10.65.0.1 ping statistics ---\n101 packets transmitted, 100 packets received, 0% packet loss\n"
    assert counted(counters(0, 0), said + counters(100, 100)) == PingCount(100, 0)
