"""Commands: for whom they are, how many are worked off in a turn, and what an announcement copies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bgp.exabgp_launcher import commands


def test_a_command_is_for_the_peers_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr("exabgp.logger.log.error", lambda text, source: said.append(text()))
    names = [f"neighbor {each} local-ip 10.9.0.1 local-as 64512" for each in ("10.9.0.2", "10.9.0.20", "fd09::2")]
    assert commands.find_peers(names, []) == names
    assert commands.find_peers(names, [["neighbor 10.9.0.2"], ["neighbor fd09::2"]]) == [names[0], names[2]]
    assert commands.find_peers(names, [["neighbor 10.9.0.3"]]) == []
    assert said == []
    assert commands.find_peers(names, [["neighbor 10.9.0.3"], ["neighbor 10.9.0.2"]]) == [names[0]]
    assert said == ["neighbor 10.9.0.3: not configured, or not up; of a command for 2 sessions they get nothing"]


def asynchronous(*callbacks: Iterator[None]) -> Any:
    return SimpleNamespace(
        _async=deque((f"command {number}", callback) for number, callback in enumerate(callbacks)),
        failed=[],
        _notify_error=lambda uid: None,
    )


def test_more_commands_than_fifty_steps_are_worked_off_per_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS_SECONDS", 60.0)
    done: list[int] = []

    def command(number: int) -> Iterator[None]:
        yield
        done.append(number)

    queue = asynchronous(*map(command, range(200)))
    assert not commands.run_commands(queue)
    assert done == list(range(200))


def test_a_command_that_takes_long_goes_on_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS_SECONDS", 0.0001)
    steps: list[int] = []

    def long() -> Iterator[None]:
        for step in range(20):
            time.sleep(0.001)
            steps.append(step)
            yield

    queue, turns = asynchronous(long()), 1
    while commands.run_commands(queue):
        turns += 1
    assert steps == list(range(20))
    assert turns > 1


def test_a_command_that_fails_is_answered_and_the_next_one_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exabgp.logger.log.error", lambda *_: None)
    done: list[str] = []

    def wrong() -> Iterator[None]:
        yield
        raise ValueError("broken")

    def right() -> Iterator[None]:
        yield
        done.append("right")

    queue = asynchronous(wrong(), right())
    queue._notify_error = done.append
    commands.run_commands(queue)
    assert done == ["command 0", "right"]


def test_peers_share_the_attributes_of_an_announcement_but_not_its_prefix() -> None:
    class Change(SimpleNamespace):
        def __init__(self, nlri: Any, attributes: Any) -> None:
            super().__init__(nlri=nlri, attributes=attributes)

    said = Change(SimpleNamespace(nexthop=SimpleNamespace(SELF=False), action="announce"), {"med": 1})
    copies = commands.copy_prefix_only(lambda *_: "released")
    one, other = copies(None, said), copies(None, said)
    one.nlri.action = "withdraw"
    assert (said.nlri.action, other.nlri.action) == ("announce", "announce")
    assert one.attributes is other.attributes is said.attributes
    said.nlri.nexthop.SELF = True
    assert copies(None, said) == "released"
