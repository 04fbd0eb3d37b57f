"""Pings between pods, over pods that answer from a table."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from lab import traffic
from lab.runtime import RunningPod
from lab.state_model import StreamReport
from lab.traffic import Traffic, ping_all, ping_matrix, pings


class FakePod:
    """Answers pings to these addresses, and counts what it was asked for. lost: of each stream, by a stop."""

    def __init__(self, name: str, node: str, *addresses: str, reaches: tuple[str, ...] = (), lost: int = 0) -> None:
        self.name, self.node, self.addresses = name, node, addresses
        self.reaches, self.lost = reaches, lost
        self.requests: list[dict[str, Any]] = []

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        await asyncio.sleep(0)
        if "ping" in request:
            return {"answered": {address: 0.5 for address in request["ping"] if address in self.reaches}}
        if "report" in request:
            return {"sent": 8, "unanswered": [request["report"] + i for i in range(self.lost)]}
        return {"sent": 10, "lost": self.lost}


A = FakePod("a", "n1", "10.65.1.1", "fd00::1", reaches=("10.65.2.1", "fd00::2", "10.65.1.2"))
B = FakePod("b", "n2", "10.65.2.1", "fd00::2", reaches=("10.65.1.1",), lost=2)
C = FakePod("c", "n1", "10.65.1.2")


def pods(*fakes: FakePod) -> list[RunningPod]:
    return [cast(RunningPod, fake) for fake in fakes]


def test_every_pod_pings_every_address_of_the_others() -> None:
    assert pings(pods(A, B, C)) == 10
    assert pings(pods(A)) == 0


async def test_a_pod_is_reached_only_if_all_its_addresses_answer() -> None:
    three = pods(A, B, C)
    answers = await ping_all(three, 1)
    assert {name: len(answered) for name, answered in answers.items()} == {"a": 3, "b": 1, "c": 0}
    assert ping_matrix(three, answers) == {"a": {"b": 0.5, "c": 0.5}, "b": {}, "c": {}}


async def test_more_packets_than_fit_go_out_in_waves(monkeypatch: Any) -> None:
    monkeypatch.setattr(traffic, "MOST_PACKETS_AT_ONCE", 1)
    assert (await ping_all(pods(A, B, C), 1)).keys() == {"a", "b", "c"}


async def test_each_pod_streams_to_one_of_another_node() -> None:
    a, b, c = FakePod("a", "n1", "1"), FakePod("b", "n2", "2", lost=2), FakePod("c", "n1", "3")
    running = Traffic()
    await running.start(pods(a, b, c), 100)
    assert [pod.requests[-1]["stream"] for pod in (a, b, c)] == ["2", "3", "2"]
    assert await running.stop() == {"sent": 30, "lost": 2}
    assert await running.stop() == {"sent": 0, "lost": 0}


async def test_a_report_says_of_each_stream_when_the_unanswered_were_sent() -> None:
    a, b = FakePod("a", "n1", "1"), FakePod("b", "n2", "2", lost=2)
    running = Traffic()
    await running.start(pods(a, b), 100)
    assert await running.report(7.5) == (StreamReport("a", "b", 8), StreamReport("b", "a", 8, (7.5, 8.5)))


async def test_a_pod_that_has_ended_is_not_stopped_again() -> None:
    a, b = FakePod("a", "n1", "1"), FakePod("b", "n2", "2")
    running = Traffic()
    await running.start(pods(a, b), 100)
    running.forget("a")
    assert (await running.stop())["sent"] == 10
    assert {"stop": True} not in a.requests
