"""Memory and rest are measured on a small node, and of agents alone."""

from __future__ import annotations

from bench.memory import measure


def test_a_full_node_and_agents_alone_rest_in_the_same_time_and_are_measured_in_each_round() -> None:
    found = measure(rounds=1, routes=10, count=2, nodes=1, rest=2, settling=0)
    assert [(row.name, row.peer_name) for row in found] == [
        ("memory of all three, 10 routes and 2 pods", "BIRD 2"),
        ("CPU of the agent at rest, 10 routes and 2 pods", ""),
        ("memory of the agent, 256 pods on other nodes", "no other pods"),
        ("CPU of the agent at rest, 256 pods on other nodes", "no other pods"),
    ]
    of_all_three, _, of_one, _ = found
    assert of_all_three.ours > of_one.ours > 0
