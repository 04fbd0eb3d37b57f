"""Two checkouts compared: the ratio is taken within each round, and above 1 the new one is better."""

from __future__ import annotations

import pytest

from bench.compare import RowComparison, Rows, Span, comparisons, main, rows_of, table
from bench.result import Row, duration, rate


def rows(*found: Row) -> Rows:
    return {row.name: row for row in found}


def only(*rounds: tuple[Rows, Rows]) -> RowComparison:
    [found] = comparisons(rounds)
    return found


def test_of_a_rate_more_is_better_and_of_a_duration_less() -> None:
    faster = only(
        (rows(rate("put", [100], [50], "BIRD", "routes/s")), rows(rate("put", [200], [50], "BIRD", "routes/s")))
    )
    slower = only((rows(duration("ADD", [2], [8], "ptp", "ms")), rows(duration("ADD", [4], [8], "ptp", "ms"))))
    assert (faster.ours.median, slower.ours.median) == (2.0, 0.5)


def test_the_ratio_is_taken_within_each_round_so_that_a_slow_round_slows_both() -> None:
    quiet = rows(duration("ADD", [2], [8], "ptp", "ms")), rows(duration("ADD", [2], [8], "ptp", "ms"))
    busy = rows(duration("ADD", [6], [24], "ptp", "ms")), rows(duration("ADD", [5], [24], "ptp", "ms"))
    assert only(quiet, busy, quiet).ours == Span(1.0, 1.0, 1.2)


def test_the_peers_ratio_shows_how_much_the_machine_changed() -> None:
    moved = only((rows(duration("ADD", [2], [8], "ptp", "ms")), rows(duration("ADD", [4], [16], "ptp", "ms"))))
    assert moved.peer == moved.ours == Span(0.5, 0.5, 0.5)
    assert moved.beside_peer == Span(1.0, 1.0, 1.0)


def test_rows_that_only_one_checkout_has_are_left_out() -> None:
    one, other = duration("ADD", [2], [8], "ptp", "ms"), duration("CHECK", [2], [8], "ptp", "ms")
    assert [found.name for found in comparisons([(rows(one), rows(one, other))])] == ["ADD"]


def test_a_report_is_read_back_and_a_table_shows_every_row() -> None:
    report = {"rows": [{"name": "ADD", "ours": 2.0, "peer": 8.0, "peer_name": "ptp", "unit": "ms", "ratio": 4.0}]}
    found = list(comparisons([(rows_of(report), rows_of(report))]))
    assert "1.00 (1.00 to 1.00)" in list(table(found))[1]


def test_a_checkout_is_not_compared_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["/a", "/a", "fib"])
    assert "OLD and NEW are the same checkout" in capsys.readouterr().err
