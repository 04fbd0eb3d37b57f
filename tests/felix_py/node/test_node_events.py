"""Events of one agent over fakes: written, counted, noted for the next agent, and given up for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from datastore.errors import Forbidden
from datastore.kinds.event import Event
from datastore.kinds.node import Node
from datastore.record import Resource
from felix_py.node.node_events import LOOK_SECONDS, SETTLING_SECONDS, NodeEvents, memory_of, unready_addresses
from felix_py.node.node_messages import Moment
from felix_py.status_model import AgentProgress, AgentStatus, HostIssue, HostWarning, SidecarStatus
from tests.felix_py.fake_node import FakeNode, node

R = TypeVar("R", bound=Resource)


class Watched:
    """The Events of one agent, whose status and clock a test sets."""

    def __init__(self, one: FakeNode) -> None:
        self.one, self.seconds = one, 0.0
        self.wrong: tuple[HostWarning, ...] = ()
        self.start()

    def start(self) -> None:
        """Begin as an agent that starts does."""
        self.events = NodeEvents(self.one.agent, self.status, lambda: Moment(1.8e9 + self.seconds, self.seconds))

    async def status(self) -> AgentStatus:
        progress = AgentProgress(True, True, True, in_the_way=self.wrong)
        return AgentStatus("n1", progress=progress, sidecar=SidecarStatus(connected=True))

    async def look(self, *wrong: str, after: float = 11.0) -> float:
        self.wrong = tuple(HostWarning(HostIssue.PODS_FILTERED, text) for text in wrong)
        self.seconds += after
        return await self.events.look()

    async def written(self) -> list[tuple[str, str, int]]:
        found = [one.to_json() for one in (await self.one.store.list(Event)).objects]
        return sorted((one["reason"], one["message"], one["count"]) for one in found)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    one = FakeNode(folder)
    async with one.running():
        yield Watched(one)


async def test_a_problem_and_its_end_are_events_about_the_node(tmp_path: Path) -> None:
    async with watched(tmp_path) as found:
        await found.look("ufw drops")
        await found.look("ufw drops")
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 1)]
        await found.look(after=SETTLING_SECONDS)
        begun, over = ("PodPacketsDropped", "ufw drops", 1), ("PodPacketsPass", "over: ufw drops", 1)
        assert await found.written() == [begun, over]
        [first, second] = (await found.one.store.list(Event)).objects
        assert {first.to_json()["type"], second.to_json()["type"]} == {"Normal", "Warning"}


async def test_an_agent_that_starts_writes_nothing_twice_and_what_is_over_when_it_knows(tmp_path: Path) -> None:
    async with watched(tmp_path) as found:
        await found.look("ufw drops")
        await found.look("ufw drops")
        found.start()
        await found.look()
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 1)], "it has not looked at the host yet"
        await found.look("ufw drops")
        await found.look("ufw drops", after=SETTLING_SECONDS)
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 1)]
        await found.look()
        assert len(await found.written()) == 2


async def test_an_event_that_was_written_unheard_is_counted_and_not_doubled(tmp_path: Path) -> None:
    async with watched(tmp_path) as found:
        await found.look("ufw drops")
        await found.look("ufw drops")
        (tmp_path / "events").unlink()
        found.start()
        await found.look("ufw drops")
        await found.look("ufw drops")
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 2)]


async def test_an_event_that_the_server_has_forgotten_is_written_anew(tmp_path: Path) -> None:
    async with watched(tmp_path) as found:
        await found.look("ufw drops")
        await found.look("ufw drops")
        [event] = (await found.one.store.list(Event)).objects
        await found.one.store.delete(event)
        await found.look("ufw drops", after=1801)
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 1)]


async def test_a_right_that_is_missing_is_said_once_and_the_event_follows_when_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path) as found:
        create = found.one.store.create

        async def denied(resource: R) -> R:
            raise Forbidden("create Event: the role of this account lacks it (403)")

        monkeypatch.setattr(found.one.store, "create", denied)
        await found.look("ufw drops")
        first, second = await found.look("ufw drops"), await found.look("ufw drops")
        assert LOOK_SECONDS <= first < second
        assert caplog.text.count("the role of this account lacks it") == 1
        monkeypatch.setattr(found.one.store, "create", create)
        await found.look("ufw drops")
        assert await found.written() == [("PodPacketsDropped", "ufw drops", 1)]


async def test_at_rest_nothing_is_asked_of_the_datastore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path) as found:
        await found.look("ufw drops")
        await found.look("ufw drops")

        async def asked(*arguments: Any) -> None:
            raise AssertionError(arguments)

        monkeypatch.setattr(found.one.store, "create", asked)
        monkeypatch.setattr(found.one.store, "patch", asked)
        await found.look("ufw drops")


async def test_no_more_than_a_few_are_written_a_minute_and_the_others_follow(tmp_path: Path) -> None:
    async with watched(tmp_path) as found:
        wrong = [f"filter {number}" for number in range(9)]
        for number in range(1, 10):
            await found.look(*wrong[:number], after=6)
        assert 1 < len(await found.written()) <= 4
        for _ in range(30):
            await found.look(*wrong, after=10)
        assert sum(message.count("filter") for _, message, _ in await found.written()) == 9


def test_the_addresses_of_nodes_that_are_away_are_known() -> None:
    def with_ready(number: int, status: str) -> Node:
        record = node(f"n{number}", f"192.0.2.{number}/24").to_json()
        return Node.read({**record, "status": {"conditions": [{"type": "Ready", "status": status}]}})

    nodes = [with_ready(1, "True"), with_ready(2, "Unknown"), with_ready(3, "False"), node("n4", "192.0.2.4/24")]
    assert unready_addresses(nodes) == {"192.0.2.2", "192.0.2.3"}


@pytest.mark.parametrize("text", ["", "{", "[]", '[{"reason": 1}]', "[1]", '{"a": 1}', "null"])
def test_a_note_that_is_none_says_nothing(text: str) -> None:
    assert not memory_of(text).told
