"""The condition NetworkUnavailable: written when pods can be attached, kept against others, taken back at the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from datastore.errors import Conflict, Forbidden, Unavailable
from datastore.kinds.node import Node, NodeCondition
from datastore.record import Resource
from felix_py.node import network_condition, own_node_changes
from felix_py.node.network_condition import DOWN, LONGEST_PAUSE_SECONDS, UP, NetworkCondition, is_up
from tests.felix_py.fake_node import FakeNode
from tests.felix_py.fakes import until

BY_CLOUD = NodeCondition("True", "NoRouteCreated", "RouteController failed to create a route")
NOW = "2026-01-02T15:04:05Z"


async def held(one: FakeNode) -> NodeCondition | None:
    return (await one.store.get(Node, "n1")).network_unavailable


async def write(one: FakeNode, condition: NodeCondition) -> None:
    """Have another program write the condition; return when the agent has heard of it."""
    node = await one.store.get(Node, "n1")
    await one.store.update(node.with_network_unavailable(condition, NOW))
    await seen(one, condition)


async def seen(one: FakeNode, condition: NodeCondition) -> None:
    """Have the agent hear of what is stored."""
    one.store.put(await one.store.get(Node, "n1"))
    await until(lambda: one.agent.snapshot.nodes["n1"].network_unavailable == condition)


@pytest.mark.parametrize(
    ("condition", "up"),
    [
        (None, False),
        (UP, True),
        (DOWN, False),
        (BY_CLOUD, False),
        (NodeCondition("False", "RouteCreated", "RouteController created a route"), True),
        (NodeCondition("False", "CalicoIsUp", "Calico is running on this node"), False),
        (NodeCondition("Unknown", "NodeStatusUnknown", ""), False),
    ],
)
def test_what_says_that_pods_are_routed_here(condition: NodeCondition | None, up: bool) -> None:
    assert is_up(condition) is up


async def test_it_is_false_from_the_moment_that_pods_can_be_attached(tmp_path: Path) -> None:
    one, ready = FakeNode(tmp_path), False
    async with one.running() as agent:
        condition = NetworkCondition(agent, one.own_node_changes, lambda: ready)
        await condition.look()
        assert await held(one) is None
        ready = True
        await condition.look()
        assert await held(one) == UP


async def test_at_rest_nothing_is_asked_of_the_datastore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        condition = NetworkCondition(agent, one.own_node_changes, lambda: True)
        await condition.look()
        await seen(one, UP)

        async def asked(resource: Resource) -> Resource:
            raise AssertionError(f"{resource.name} was written")

        monkeypatch.setattr(one.store, "update", asked)
        await condition.look()


async def test_what_a_cloud_says_is_taken_back_later_each_time_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, now = FakeNode(tmp_path), 0.0
    async with one.running() as agent:
        condition = NetworkCondition(agent, one.own_node_changes, lambda: True, lambda: now)
        pauses = []
        for _ in range(8):
            await write(one, BY_CLOUD)
            pauses.append(await condition.look())
            assert await held(one) == UP
            await seen(one, UP)
        assert pauses[0] < pauses[3] < pauses[5] and pauses[-1] >= LONGEST_PAUSE_SECONDS
        [notice] = agent.notices.all()
        assert "NoRouteCreated: RouteController failed to create a route" in notice.reason
        assert caplog.text.count("NoRouteCreated") == 1
        now = 601.0
        await condition.look()
        assert agent.notices.all() == ()
        await write(one, BY_CLOUD)
        assert await condition.look() < pauses[3]
        assert agent.notices.all() == (), "one write in ten minutes makes no rival"


async def test_at_rest_it_looks_when_the_node_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_condition, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(own_node_changes, "REST_SECONDS", 1e9)
    one, asked = FakeNode(tmp_path), list[None]()

    def ready() -> bool:
        asked.append(None)
        return True

    async with one.running() as agent:
        await write(one, UP)
        running = asyncio.create_task(NetworkCondition(agent, one.own_node_changes, ready).run())
        await until(lambda: asked)
        for _ in range(50):  # each of which would do for a look without a pause
            await asyncio.sleep(0)
        at_rest = len(asked)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(asked) == at_rest
        await write(one, BY_CLOUD)
        await until(lambda: len(asked) > at_rest)
        running.cancel()


async def test_a_node_that_was_made_anew_is_written_and_nobody_is_taken_for_a_rival(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        condition = NetworkCondition(agent, one.own_node_changes, lambda: True)
        bare = await one.store.get(Node, "n1")
        await condition.look()
        await seen(one, UP)
        await one.store.delete(await one.store.get(Node, "n1"))
        one.store.put(await one.store.create(bare.with_metadata(resource_version=None, uid=None)))
        await until(lambda: agent.snapshot.nodes["n1"].network_unavailable is None)
        await condition.look()
        assert await held(one) == UP
        assert agent.notices.all() == ()


async def test_a_node_that_another_wrote_meanwhile_is_written_when_the_watch_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        condition, update = NetworkCondition(agent, one.own_node_changes, lambda: True), one.store.update

        async def conflict(resource: Resource) -> Resource:
            raise Conflict("it was written")

        monkeypatch.setattr(one.store, "update", conflict)
        await condition.look()
        assert await held(one) is None and not caplog.records
        monkeypatch.setattr(one.store, "update", update)
        await condition.look()
        assert await held(one) == UP


async def test_a_right_that_is_missing_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        condition, update = NetworkCondition(agent, one.own_node_changes, lambda: True), one.store.update

        async def denied(resource: Resource) -> Resource:
            raise Forbidden("nodes/status: the role of this account lacks it (403)")

        monkeypatch.setattr(one.store, "update", denied)
        first, second = await condition.look(), await condition.look()
        assert first < second and caplog.text.count("the role of this account lacks it") == 1
        monkeypatch.setattr(one.store, "update", update)
        await condition.look()
        assert await held(one) == UP


async def test_an_agent_that_ends_says_so(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        condition = NetworkCondition(agent, one.own_node_changes, lambda: True)
        await condition.look()
        await condition.say_down()
        assert await held(one) == DOWN
        await condition.say_down()


async def test_an_end_that_meets_another_write_is_said_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        update, left = one.store.update, [Conflict("it was written")]

        async def once_in_conflict(resource: Resource) -> Resource:
            if left:
                raise left.pop()
            return await update(resource)

        monkeypatch.setattr(one.store, "update", once_in_conflict)
        await NetworkCondition(agent, one.own_node_changes, lambda: True).say_down()
        assert await held(one) == DOWN


async def test_a_node_that_is_another_hosts_by_now_is_left_alone_at_the_end(tmp_path: Path) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:
        agent.progress.identity = "the Node n1 is another host's by now"
        await NetworkCondition(agent, one.own_node_changes, lambda: True).say_down()
        assert await held(one) is None


async def test_a_datastore_that_is_away_does_not_keep_an_agent_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = FakeNode(tmp_path)
    async with one.running() as agent:

        async def away(kind: type[Node], name: str) -> Node:
            raise Unavailable("connect to 192.0.2.254:6443: connection refused")

        monkeypatch.setattr(one.store, "get", away)
        await NetworkCondition(agent, one.own_node_changes, lambda: True).say_down()
        assert "connection refused; pods are still scheduled here" in caplog.text
