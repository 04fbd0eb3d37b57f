"""STATUS answers whether one more pod could be attached, on a store in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

import datastore
from cni.endpoints import Endpoints
from cni.protocol import CniError, parse
from cni.settings import CniSettings
from cni.status import StatusVerb
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


async def status(store: Store, limitation: str | None = None, **network: Any) -> tuple[int, str]:
    """Return the code and the sentence of a STATUS, 0 and nothing where a pod can be attached."""
    verb = StatusVerb(CniSettings("n1"), store, Endpoints(store, "n1"), lambda: limitation)
    try:
        await verb.run(parse(call("STATUS"), json.dumps(configuration(**network)).encode()))
    except CniError as error:
        return int(error.code), error.sentence
    return 0, ""


async def test_a_node_with_a_free_address_and_nothing_amiss_is_ready() -> None:
    async with store_with(TINY) as store:
        assert await status(store) == (0, "")


async def test_every_family_that_the_network_assigns_needs_a_pool() -> None:
    async with store_with(TINY) as store:
        code, why = await status(store, **DUAL)
    assert (code, "no enabled IPv6 pool" in why) == (50, True)


async def test_a_pool_without_a_free_address_is_named() -> None:
    full = blocks.new_block(ip_network("10.9.0.0/30"), "n1", 1)
    for ordinal in range(4):
        full = blocks.assign_at(full, ordinal, f"h{ordinal}", {})
    async with store_with(TINY) as store:
        await store.create(full)
        code, why = await status(store)
    assert (code, "tiny" in why) == (50, True)


@pytest.mark.parametrize("ready", [False, None])
async def test_a_datastore_that_is_not_ready_is_code_50(ready: bool | None) -> None:
    async with store_with(TINY, ready=ready) as store:
        assert (await status(store))[0] == 50


async def test_a_datastore_that_does_not_answer_is_code_50() -> None:
    async with store_with(TINY) as store:
        pass  # closed by now
    code, why = await status(store)
    assert (code, why.startswith("STATUS: the datastore does not answer")) == (50, True)


async def test_limited_connectivity_is_told_only_where_pods_can_be_attached() -> None:
    async with store_with(TINY) as store:
        assert await status(store, "no BGP session is up") == (51, "STATUS: no BGP session is up")
        assert (await status(store, "no BGP session is up", **DUAL))[0] == 50
