"""What grows is measured on small nodes of their own."""

from __future__ import annotations

from bench.growth import adds, block_writes, dels, while_routes_arrive


def test_a_del_is_measured_by_how_many_routes_the_node_has() -> None:
    found = dels(rounds=1, learned=(0, 10))
    assert {routes: len(times) for routes, times in found.items()} == {0: 1, 10: 1}


def test_an_add_is_measured_by_how_many_pods_the_node_has() -> None:
    found = adds(rounds=2, held=(0, 3), coming=2)
    assert {pods: len(times) for pods, times in found.items()} == {0: 2, 3: 2}


def test_the_writes_of_blocks_are_counted_and_one_for_each_pod_is_the_most() -> None:
    [row] = block_writes(rounds=1, together=(3,))
    assert row.name == "block writes for 3 ADDs at once"
    assert 1 <= row.ours <= 3 + 1  # a block is claimed, too


def test_adds_while_routes_arrive_stand_beside_those_in_peace() -> None:
    assert while_routes_arrive(rounds=1, peers=2, updates=10, calls=2).peer_name == "none arrives"
