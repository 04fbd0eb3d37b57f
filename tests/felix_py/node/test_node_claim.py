"""Two hosts of one name: the second finds out whether the first lives, and a host that is gone is followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.node import CLAIM, HOST, Node
from felix_py.node import node_claim
from felix_py.node.node_claim import HostMark, answer, answers, is_free, is_this_host, marked, this_host
from tests.datastore.memory_store import MemoryStore

FIRST, SECOND = HostMark("disk-1", "boot-1:5"), HostMark("disk-2", "boot-2:5")
FIRSTS = marked(Node.make("n1", annotations={"theirs": "x", CLAIM: "old"}), FIRST)


def clock(step: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds each time that it is read."""
    times = count(0, step)
    return lambda: next(times)


class Living(MemoryStore):
    """A datastore that the first host's agent watches."""

    async def patch(self, kind: Any, name: str, patch: Mapping[str, Any], namespace: str | None = None) -> Any:
        patched = await super().patch(kind, name, patch, namespace)
        await answer(super(), patched, FIRST)  # type: ignore[arg-type]
        return patched


class Late(MemoryStore):
    """One in which the first host writes its Node at the last moment."""

    async def update(self, resource: Any) -> Any:
        held = await self.get(Node, "n1")
        await super().update(held.with_metadata(annotations={HOST: str(FIRST)}))
        return await super().update(resource)


@pytest.mark.parametrize(
    ("written", "address_is_here", "same"),
    [
        (None, False, True),
        (FIRST, False, True),
        (HostMark("disk-1", "boot-7:5"), True, True),
        (HostMark("disk-1", "boot-7:5"), False, False),
        (HostMark("disk-1", "boot-1:9"), False, False),
        (SECOND, True, False),
        (HostMark("disk-9", "boot-1:5"), False, True),
    ],
    ids=["of Calico", "its own", "after a boot", "a clone", "another namespace", "another host", "a new disk, no boot"],
)
def test_a_node_is_this_hosts_if_nothing_else_can_be(
    written: HostMark | None, address_is_here: bool, same: bool
) -> None:
    assert is_this_host(written, FIRST, address_is_here) == same


async def test_a_host_that_lives_keeps_its_node() -> None:
    store = Living(FIRSTS)
    assert not await is_free(store, await store.get(Node, "n1"), SECOND, clock(0))
    assert HostMark.of(await store.get(Node, "n1")) == FIRST


async def test_a_host_that_is_gone_is_followed_by_the_one_that_asks() -> None:
    store = MemoryStore(FIRSTS)
    assert await is_free(store, await store.get(Node, "n1"), SECOND, clock(10))
    node = await store.get(Node, "n1")
    assert node.metadata.annotations == {"theirs": "x", HOST: str(SECOND)}


async def test_a_host_that_writes_its_node_at_the_last_moment_keeps_it() -> None:
    store = Late(FIRSTS)
    assert not await is_free(store, await store.get(Node, "n1"), SECOND, clock(10))
    assert HostMark.of(await store.get(Node, "n1")) == FIRST


async def test_of_two_that_ask_at_once_one_at_most_takes_the_node_over() -> None:
    store = MemoryStore(FIRSTS)
    third = HostMark("disk-3", "boot-3:5")
    asked = await store.get(Node, "n1")
    await is_free(store, asked, third, clock(10))
    assert not await is_free(Late(*store.objects.values()), await store.get(Node, "n1"), SECOND, clock(10))


async def test_who_only_asks_gets_an_answer_of_the_living_and_takes_nothing_over() -> None:
    living, gone = Living(FIRSTS), MemoryStore(FIRSTS)
    assert await answers(living, await living.get(Node, "n1"), clock(0))
    assert not await answers(gone, await gone.get(Node, "n1"), clock(10))
    for store in (living, gone):
        assert (await store.get(Node, "n1")).metadata.annotations == {"theirs": "x", HOST: str(FIRST)}
    calicos = MemoryStore(Node.make("n1"))
    assert not await answers(calicos, await calicos.get(Node, "n1"), clock(0)), "there is no one to ask"


async def test_a_node_that_goes_while_it_is_asked_for_is_free_and_answers_nothing() -> None:
    held = await MemoryStore(FIRSTS).get(Node, "n1")
    assert await is_free(MemoryStore(), held, SECOND, clock(0))
    assert not await answers(MemoryStore(), held, clock(0))


def test_this_host_is_the_same_at_each_start_and_another_after_its_disk_was_wiped(tmp_path: Path) -> None:
    first = this_host(tmp_path)
    assert this_host(tmp_path) == first
    assert HostMark.of(marked(Node.make("n1"), first)) == first
    (tmp_path / "host-id").unlink()
    again = this_host(tmp_path)
    assert again.installation != first.installation and again.run == first.run


def test_a_claim_is_answered_in_time_for_who_waits() -> None:
    from felix_py.node.own_node import LOOK_SECONDS

    assert 2 * LOOK_SECONDS + node_claim.POLL_SECONDS <= node_claim.ANSWER_SECONDS
