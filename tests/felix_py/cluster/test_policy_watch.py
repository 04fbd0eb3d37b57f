from __future__ import annotations

import asyncio
from contextlib import suppress

from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.notices import Notice
from felix_py.cluster.policy_watch import follow_policies
from felix_py.notices.current_notices import CurrentNotices
from tests.datastore.memory_store import MemoryStore


async def test_a_policy_of_kubernetes_is_said_once_and_no_longer_than_it_is_there() -> None:
    store, notices = MemoryStore(KubernetesNetworkPolicy.make("deny", "shop")), CurrentNotices("n1")
    said: list[Notice] = []
    changed = asyncio.Event()

    def log(new: tuple[Notice, ...]) -> None:
        said.extend(new)
        changed.set()

    async def until(names: list[str]) -> None:
        async with asyncio.timeout(10):
            while [one.name for one in notices.all()] != names:
                changed.clear()
                await changed.wait()

    task = asyncio.create_task(follow_policies(store, notices, log))
    await until(["shop/deny"])
    [first] = said
    assert str(first).startswith('KubernetesNetworkPolicy "shop/deny": policies are not enforced')
    new = await store.create(KubernetesNetworkPolicy.make("allow", "shop"))
    await until(["shop/allow", "shop/deny"])
    await store.delete(new)
    await until(["shop/deny"])
    assert len(said) == 2
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
