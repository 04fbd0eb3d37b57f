"""Outputs run in their order, each after the changes that it depends on; topics stay due until they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from felix_py.outputs import ANNOUNCEMENTS, ROUTES, Due, FailedOutput, Output, bring_in_line, rest_seconds
from felix_py.topics import Topic


def recorder(done: list[str]) -> Callable[[str, Topic], Output]:
    def made(name: str, on: Topic) -> Output:
        async def apply() -> None:
            done.append(name)

        return Output(name, on, apply)

    return made


async def test_outputs_run_in_order_whatever_the_order_of_the_changes() -> None:
    done: list[str] = []
    output = recorder(done)
    outputs = (output("routes", Topic.PODS | Topic.BLOCKS), output("announcements", Topic.BLOCKS))
    await bring_in_line(outputs, Topic.BLOCKS | Topic.PODS)
    assert done == ["routes", "announcements"]


async def test_an_output_runs_only_after_what_it_depends_on() -> None:
    done: list[str] = []
    output = recorder(done)
    await bring_in_line((output("routes", Topic.PODS), output("sessions", Topic.BGP)), Topic.PODS)
    assert done == ["routes"]
    await bring_in_line((output("routes", Topic.PODS),), Topic.NOTHING)
    assert done == ["routes"]


def test_whatever_leads_to_an_announcement_leads_to_a_write_before_it() -> None:
    assert ANNOUNCEMENTS in ROUTES


async def test_an_output_that_waits_holds_up_the_ones_after_it() -> None:
    done: list[str] = []
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        done.append("routes")

    apply: Callable[[], Awaitable[None]] = slow
    outputs = (Output("routes", Topic.BLOCKS, apply), recorder(done)("announcements", Topic.BLOCKS))
    running = asyncio.create_task(bring_in_line(outputs, Topic.BLOCKS))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not done
    gate.set()
    await running
    assert done == ["routes", "announcements"]


def refusing(name: str, why: str, *, needed: bool = True) -> Output:
    async def fail() -> None:
        raise OSError(why)

    return Output(name, Topic.BLOCKS, fail, needed)


def told(failures: list[FailedOutput]) -> list[tuple[str, str]]:
    return [(output.name, str(error)) for output, error in failures]


async def test_an_output_that_fails_ends_the_pass() -> None:
    done: list[str] = []
    outputs = (refusing("routes", "no buffer space"), recorder(done)("announcements", Topic.BLOCKS))
    assert told(await bring_in_line(outputs, Topic.BLOCKS)) == [("routes", "no buffer space")]
    assert not done


async def test_an_output_that_no_other_needs_does_not_keep_the_others_back() -> None:
    done: list[str] = []
    outputs = (refusing("pod MTU", "disk full", needed=False), recorder(done)("announcements", Topic.BLOCKS))
    assert told(await bring_in_line(outputs, Topic.BLOCKS)) == [("pod MTU", "disk full")]
    assert done == ["announcements"]


async def test_each_output_that_fails_is_told_of() -> None:
    outputs = (
        refusing("forwarding", "read-only", needed=False),
        refusing("pod MTU", "disk full", needed=False),
        refusing("routes", "no buffer space"),
        refusing("announcements", "not reached"),
    )
    found = told(await bring_in_line(outputs, Topic.BLOCKS))
    assert found == [("forwarding", "read-only"), ("pod MTU", "disk full"), ("routes", "no buffer space")]


async def test_what_is_not_taken_stays_due() -> None:
    due = Due()
    due.add(Topic.PODS | Topic.ROUTES)
    assert due.take(Topic.BEFORE_SYNC) == Topic.ROUTES
    assert due.take() == Topic.PODS
    assert due.take() == Topic.NOTHING


async def test_it_waits_for_a_topic_and_nothing_is_none() -> None:
    due = Due()
    waiting = asyncio.create_task(due.wait())
    due.add(Topic.NOTHING)
    await asyncio.sleep(0)
    assert not waiting.done()
    due.add(Topic.BGP)
    await waiting


async def test_a_burst_is_added_once() -> None:
    due = Due()
    for topic in (Topic.NEXT_HOPS, Topic.NEXT_HOPS, Topic.MTU):
        due.add_later(topic, 0.001)
    assert due.take() == Topic.NOTHING
    await due.wait()
    assert due.take() == Topic.NEXT_HOPS | Topic.MTU
    due.add_later(Topic.NEXT_HOPS, 0.001)
    await due.wait()
    assert due.take() == Topic.NEXT_HOPS


async def test_what_rests_stays_due_whatever_adds_it_and_holds_nothing_else_up() -> None:
    due = Due()
    due.rest(Topic.NODES, 3600)
    due.add(Topic.NODES)
    waiting = asyncio.create_task(due.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    due.add(Topic.NODES | Topic.POOLS)
    await waiting
    assert due.take() == Topic.POOLS
    assert due.take() == Topic.NOTHING


async def test_what_was_added_while_it_rested_is_handed_out_once_when_the_rest_is_over() -> None:
    due = Due()
    due.rest(Topic.NODES, 0.001)
    for _ in range(3):
        due.add(Topic.NODES)
    await due.wait()
    assert due.take() == Topic.NODES
    due.add(Topic.NODES)
    await due.wait()
    assert due.take() == Topic.NODES


async def test_a_rest_in_which_nothing_came_wakes_nobody() -> None:
    due, over = Due(), asyncio.Event()
    waiting = asyncio.create_task(due.wait())
    due.rest(Topic.NODES, 0.001)
    asyncio.get_running_loop().call_later(0.002, over.set)
    await over.wait()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


def test_a_rest_is_short_among_few_nodes_and_a_second_among_thousands() -> None:
    assert [rest_seconds(nodes) for nodes in (0, 3, 100, 1000, 5000)] == [0.0, 0.003, 0.1, 1.0, 1.0]
