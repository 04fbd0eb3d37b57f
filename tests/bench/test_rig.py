"""Both rivals on small rigs of their own: real sidecar, agent and BIRD, with real sessions."""

from __future__ import annotations

import pytest

from bench.repair import measure as repairs
from bench.restart import measure as restarts
from bench.rig import by_turns, rig
from bench.routers import Bird, Ours, configuration
from bench.updates import seconds_into_fib


def test_who_goes_first_changes_with_every_round() -> None:
    order: list[str] = []
    ours, theirs = by_turns(3, lambda: order.append("ours"), lambda: order.append("peer"), "order")
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert len(ours) == len(theirs) == 3


def test_bird_waits_for_those_whose_address_sorts_behind_as_our_nodes_do() -> None:
    lines = configuration("198.18.2.1", ["198.18.1.1", "198.18.3.1"]).splitlines()
    assert [line.endswith("passive on; }") for line in lines if "neighbor" in line] == [False, True]


@pytest.mark.parametrize("rival", [Ours, Bird])
def test_all_sessions_come_up_that_the_peers_dial(rival: type[Ours] | type[Bird]) -> None:
    with rig(rival, 3, they_dial=True) as made:
        assert made.start() > 0


@pytest.mark.parametrize("rival", [Ours, Bird])
def test_what_peers_announce_is_counted_in_the_kernel_though_a_peer_is_dead(rival: type[Ours] | type[Bird]) -> None:
    assert seconds_into_fib(rival, 2, 20, single=True, dead=1) > 0


def test_a_route_that_was_changed_is_seen_as_it_was_again() -> None:
    found = repairs(rounds=1, routes=10, changes=2)
    assert [row.name.split()[0] for row in found] == ["deleted", "deleted", "replaced", "replaced"]


def test_an_agent_that_was_killed_writes_nothing_when_it_is_in_sync_again() -> None:
    _, written = restarts(rounds=1, routes=10, count=1)
    assert (written.name, written.ours) == ("routes written after kill -9", 0)
