"""STATUS is an error only where the kubelet should act on it, and asks nobody."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest

from cni.capacity import shortage
from cni.errors import CniError
from cni.request import parse
from cni.settings import CniSettings
from cni.status import StatusVerb, log
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.store import Changed, InSync
from ipam import block as blocks
from ipam.allocator import AddressesWanted, Allocator
from ipam.room import Room
from tests.cni.conftest import call, configuration
from tests.cni.node import DUAL
from tests.datastore.memory_store import MemoryStore

TINY = IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)


FULL = ip_network("10.9.0.0/30")


def room(taken: int = 0) -> Room:
    block = blocks.new_block(FULL, "n1", 1)
    for ordinal in range(taken):
        block = blocks.assign_at(block, ordinal, f"h{ordinal}", {})
    return Room((TINY,), frozenset({FULL}), {FULL: block})


async def status(
    known: Room | None, *, inability: str | None = None, limitation: str | None = None, **network: Any
) -> tuple[int, str]:
    """Return the code and the sentence of a STATUS, 0 and nothing where a pod can be attached."""
    verb = StatusVerb(CniSettings("n1"), lambda node: known, lambda: inability, lambda: limitation)
    try:
        await verb.run(parse(call("STATUS"), json.dumps(configuration(**network)).encode()))
    except CniError as error:
        return int(error.code), error.sentence
    return 0, ""


@pytest.mark.parametrize("known", [room(), None])
async def test_a_node_with_a_free_address_and_nothing_amiss_is_ready(
    known: Room | None, caplog: pytest.LogCaptureFixture
) -> None:
    """And so is one of which nothing is known yet."""
    assert await status(known) == (0, "")
    assert not caplog.messages


async def test_an_agent_that_can_make_no_device_is_code_50_with_the_reason() -> None:
    code, why = await status(room(), inability="the agent lacks CAP_NET_ADMIN")
    assert (code, why.endswith("on this node: the agent lacks CAP_NET_ADMIN")) == (50, True)


async def test_a_family_without_a_pool_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert await status(room(), **DUAL) == (0, "")
    assert "no enabled IPv6 pool" in caplog.text


async def test_a_pool_without_a_free_address_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert await status(room(4)) == (0, "")
    assert "tiny" in caplog.text


async def test_what_is_known_is_what_the_watch_reports_and_blocks_as_they_were_last_written() -> None:
    store = MemoryStore(TINY, Node.make("n1"))
    allocator = Allocator(store)
    for number in range(4):
        assert allocator.room("n1") is None
        await allocator.assign(AddressesWanted("n1", f"net.{number}"))
    for resource in store.objects.values():
        allocator.on_event(Changed(resource))
    allocator.on_event(InSync())
    asked = store.calls.copy()
    known = allocator.room("n1")
    assert known is not None
    assert [pool.name for pool in known.pools] == ["tiny"]
    assert (known.claimed, known.strict, known.claims) == (frozenset({FULL}), False, True)
    assert "has to borrow" in str(shortage(4, "n1", known))
    assert store.calls == asked


async def test_what_is_amiss_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    amiss: list[str | None] = ["the sidecar is away", "the sidecar is away", None, None]
    verb = StatusVerb(CniSettings("n1"), lambda node: room(), lambda: None, lambda: amiss.pop(0))
    with caplog.at_level("INFO", log.name):
        while amiss:
            await verb.run(parse(call("STATUS"), json.dumps(configuration()).encode()))
    assert [("the sidecar is away" in message, "any more" in message) for message in caplog.messages] == [
        (True, False),
        (False, True),
    ]
