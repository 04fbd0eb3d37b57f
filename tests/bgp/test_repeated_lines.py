"""What a peer repeats does not grow the log."""

from __future__ import annotations

from bgp.repeated_lines import KINDS, LINES_PER_WINDOW, WINDOW_SECONDS, RepeatedLines


def test_few_lines_of_a_kind_are_written_and_the_others_counted() -> None:
    lines = RepeatedLines()
    written = [text for port in range(100_000) for text in lines.admit(f"reset by 192.0.2.9:{port}", port / 10_000)]
    assert written == [f"reset by 192.0.2.9:{port}" for port in range(LINES_PER_WINDOW)]
    assert lines.admit("something else", WINDOW_SECONDS) == [
        f"{100_000 - LINES_PER_WINDOW} more lines like: reset by 192.0.2.9:99999",
        "something else",
    ]
    assert lines.admit("reset by 192.0.2.9:7", WINDOW_SECONDS) == ["reset by 192.0.2.9:7"]


def test_lines_that_come_rarely_are_all_written() -> None:
    lines = RepeatedLines()
    for turn in range(50):
        assert lines.admit("closed", turn * WINDOW_SECONDS) == ["closed"]


def test_however_many_kinds_a_peer_invents_the_log_and_the_memory_stay_small() -> None:
    lines = RepeatedLines()
    kinds = ["x" * length for length in range(10 * KINDS)]
    written = [text for kind in kinds for text in lines.admit(kind, 0.0)]
    assert len(written) <= KINDS + LINES_PER_WINDOW


def test_the_count_of_a_minute_that_is_over_can_be_had_without_another_line() -> None:
    lines = RepeatedLines(lines=1)
    for text in ("a", "b", "b"):
        lines.admit(text, 0.0, kind="own")
    assert lines.over(WINDOW_SECONDS - 1) == []
    assert lines.over(WINDOW_SECONDS) == ["2 more lines like: b"]
    assert lines.over(2 * WINDOW_SECONDS) == []
