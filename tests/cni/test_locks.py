"""One at a time for each key, in order; and no lock outlives its users."""

from __future__ import annotations

import asyncio

from cni.locks import KeyedLock


async def test_turns_of_one_key_are_taken_in_order_and_others_do_not_wait() -> None:
    turns, order = KeyedLock(), list[str]()
    gate = asyncio.Event()

    async def work(name: str, *keys: str, wait: bool = False) -> None:
        async with turns.of(*keys):
            if wait:
                await gate.wait()
            order.append(name)

    first = [asyncio.create_task(work(f"{n}", "a", "pod", wait=n == 0)) for n in range(3)]
    other = asyncio.create_task(work("other", "b"))
    same_pod = asyncio.create_task(work("same pod", "c", "pod"))
    await other
    assert (order, turns.busy("a"), turns.busy("b")) == (["other"], True, False)
    gate.set()
    await asyncio.gather(*first, same_pod)
    assert [name for name in order if name.isdigit()] == ["0", "1", "2"]
    assert not any(turns.busy(key) for key in ("a", "b", "c", "pod"))


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    turns, gate = KeyedLock(), asyncio.Event()

    async def hold() -> None:
        async with turns.of("a"):
            await gate.wait()

    async def take() -> None:
        async with turns.of("a"):
            pass

    holder, impatient, patient = (asyncio.create_task(work()) for work in (hold, take, take))
    await asyncio.sleep(0)
    impatient.cancel()
    gate.set()
    await asyncio.gather(holder, patient)
    assert not turns.busy("a")
