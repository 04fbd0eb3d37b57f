"""What is said of ADD and DEL on Kubernetes beside Calico's plugin."""

from __future__ import annotations

from bench.kube_cni import beside_calicos


def test_calicos_rates_are_scaled_by_the_time_of_the_peers_add_in_the_same_run() -> None:
    ours = {"CNI ADDs/s, 10 at once": 62.5, "CNI ADDs/s, 50 at once": 125.0}
    theirs = {"CNI ADD alone": 14.0}  # twice as long as where Calico was measured
    ten, fifty = beside_calicos([ours], [theirs])
    assert (ten.peer, ten.ratio, fifty.ratio) == (6.25, 10.0, 20.0)
