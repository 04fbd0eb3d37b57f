"""STATUS is an error only where the kubelet should act on it, on a store in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

import datastore
from cni.protocol import CniError, parse
from cni.settings import CniSettings
from cni.status import StatusVerb, log
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.pools import IPPool
from datastore.store import Store
from ipam import block as blocks
from tests.cni.conftest import call, configuration
from tests.cni.node import DUAL

TINY = IPPool.make("tiny", cidr="10.9.0.0/30", block_size=30)


@asynccontextmanager
async def store_with(*pools: IPPool, ready: bool | None = True) -> AsyncIterator[Store]:
    store = datastore.open("sqlite:///:memory:")
    if ready is not None:
        await store.create(ClusterInformation.make("default", datastore_ready=ready))
    for pool in pools:
        await store.create(pool)
    try:
        yield store
    finally:
        await store.close()


async def status(
    store: Store, *, inability: str | None = None, limitation: str | None = None, **network: Any
) -> tuple[int, str]:
    """Return the code and the sentence of a STATUS, 0 and nothing where a pod can be attached."""
    verb = StatusVerb(CniSettings("n1"), store, lambda: inability, lambda: limitation)
    try:
        await verb.run(parse(call("STATUS"), json.dumps(configuration(**network)).encode()))
    except CniError as error:
        return int(error.code), error.sentence
    return 0, ""


async def test_a_node_with_a_free_address_and_nothing_amiss_is_ready(caplog: pytest.LogCaptureFixture) -> None:
    async with store_with(TINY) as store:
        assert await status(store) == (0, "")
    assert not caplog.messages


async def test_an_agent_that_can_make_no_device_is_code_50_with_the_reason() -> None:
    async with store_with(TINY) as store:
        code, why = await status(store, inability="the agent lacks CAP_NET_ADMIN")
    assert (code, why.endswith("on this node: the agent lacks CAP_NET_ADMIN")) == (50, True)


async def test_a_family_without_a_pool_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with store_with(TINY) as store:
        assert await status(store, **DUAL) == (0, "")
    assert "no enabled IPv6 pool" in caplog.text


async def test_a_pool_without_a_free_address_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    full = blocks.new_block(ip_network("10.9.0.0/30"), "n1", 1)
    for ordinal in range(4):
        full = blocks.assign_at(full, ordinal, f"h{ordinal}", {})
    async with store_with(TINY) as store:
        await store.create(full)
        assert await status(store) == (0, "")
    assert "tiny" in caplog.text


@pytest.mark.parametrize("ready", [False, None])
async def test_a_datastore_that_is_held_is_no_error(ready: bool | None) -> None:
    async with store_with(TINY, ready=ready) as store:
        assert await status(store) == (0, "")


async def test_a_datastore_that_does_not_answer_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with store_with(TINY) as store:
        pass  # closed by now
    assert await status(store) == (0, "")
    assert "the datastore does not answer" in caplog.text


async def test_what_is_amiss_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    amiss: list[str | None] = ["the sidecar is away", "the sidecar is away", None, None]
    async with store_with(TINY) as store:
        verb = StatusVerb(CniSettings("n1"), store, lambda: None, lambda: amiss.pop(0))
        with caplog.at_level("INFO", log.name):
            while amiss:
                await verb.run(parse(call("STATUS"), json.dumps(configuration()).encode()))
    assert [("the sidecar is away" in message, "any more" in message) for message in caplog.messages] == [
        (True, False),
        (False, True),
    ]
