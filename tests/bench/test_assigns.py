"""Assignments beside bare creates, by processes that share one clock and one real API server."""

from __future__ import annotations

from bench.assigns import PLACES, Finished, measure, measured, shares
from tests.kube.bed import Bed


def test_callers_are_divided_so_that_no_node_has_two_more_than_another() -> None:
    assert (shares(50, 3), shares(50, 1), shares(6, 3)) == ([17, 17, 16], [50], [2, 2, 2])


def test_the_rate_of_nodes_is_from_the_first_beginning_to_the_last_end() -> None:
    done = [Finished(1.0, 2.0, [10.0] * 60, 30.0), Finished(1.5, 3.0, [20.0] * 40, 70.0)]
    found = measured(done, 200.0, {"POST ipamhandles": 100})
    assert (found.per_second, found.p50_ms, found.p99_ms) == (50.0, 10.0, 20.0)
    assert (found.client_ms, found.server_ms, found.requests) == (1.0, 2.0, {"POST ipamhandles": 1.0})


def test_a_short_run_on_a_real_api_server_has_every_row_once_and_counts_one_create_each(bed: Bed) -> None:
    rows, remarks = measure(bed, rounds=1, count=12)
    assert len({row.name for row in rows}) == len(rows) == 5 * len(PLACES)
    counted = [remark for remark in remarks if remark.startswith("requests per assignment")]
    assert len(counted) == len(PLACES)
    assert all("POST ipamhandles 1.000" in remark for remark in counted)
