"""What is said of ADD and DEL on Kubernetes beside the peer's."""

from __future__ import annotations

import pytest

from bench.cni import PEER_NAME
from bench.kube_cni import remarks
from bench.result import Row


def rows(add_ms: float, per_second: float) -> list[Row]:
    """As measured where the peer's ADD takes twice as long as where Calico was measured."""
    return [
        Row("CNI ADD alone", add_ms, 14.0, PEER_NAME, "ms", 0),
        Row("CNI ADDs/s, 10 at once", per_second, 100.0, PEER_NAME, "/s", 0),
        Row("CNI ADDs/s, 50 at once", per_second, 100.0, PEER_NAME, "/s", 0),
    ]


@pytest.mark.parametrize(("add_ms", "per_second", "said"), [(21.0, 63.0, "met"), (21.1, 62.0, "missed")])
def test_goals_are_met_by_ratios_to_the_peers_of_the_same_run(add_ms: float, per_second: float, said: str) -> None:
    found = list(remarks(rows(add_ms, per_second)))
    assert [said in sentence for sentence in found] == [True, False, True, True]
    assert "Calico's is taken for 234 ms and 6.2 ADDs/s" in found[1]
