"""One at a time for each key, in order; and no lock outlives its users."""

from __future__ import annotations

import asyncio

from cni.attachment import Attachment, PodRef
from cni.locks import KeyedLock, lock_keys


async def test_holders_of_one_key_follow_each_other_in_order_and_others_do_not_wait() -> None:
    locks, order = KeyedLock(), list[str]()
    gate = asyncio.Event()

    async def work(name: str, *keys: str, wait: bool = False) -> None:
        async with locks.hold(*keys):
            if wait:
                await gate.wait()
            order.append(name)

    first = [asyncio.create_task(work(f"{n}", "a", "pod", wait=n == 0)) for n in range(3)]
    other = asyncio.create_task(work("other", "b"))
    same_pod = asyncio.create_task(work("same pod", "c", "pod"))
    await other
    assert (order, locks.users("a"), locks.users("b")) == (["other"], 3, 0)
    gate.set()
    await asyncio.gather(*first, same_pod)
    assert [name for name in order if name.isdigit()] == ["0", "1", "2"]
    assert not any(locks.users(key) for key in ("a", "b", "c", "pod"))


async def test_one_that_is_cancelled_while_it_waits_leaves_the_lock_to_the_next() -> None:
    locks, gate = KeyedLock(), asyncio.Event()

    async def hold() -> None:
        async with locks.hold("a"):
            await gate.wait()

    async def take() -> None:
        async with locks.hold("a"):
            pass

    holder, impatient, patient = (asyncio.create_task(work()) for work in (hold, take, take))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    await asyncio.gather(holder, patient)
    assert not locks.users("a")


async def test_a_container_and_a_pod_of_the_same_name_are_two_keys() -> None:
    """A runtime without Kubernetes names the pod as the container; its network may be called default."""
    keys = lock_keys(Attachment("default", "web", "eth0"), PodRef("default", "web"))
    async with asyncio.timeout(10), KeyedLock().hold(*keys):
        assert len(set(keys)) == 2


def test_two_sandboxes_of_one_pod_share_a_key() -> None:
    one, other = (lock_keys(Attachment("net", container, "eth0"), PodRef("default", "web")) for container in "ab")
    assert len({*one, *other}) == 3
