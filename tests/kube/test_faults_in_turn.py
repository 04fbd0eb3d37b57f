"""All that networks and servers do to a watch, one after the other in any order, while other clients write.

After each fault the watch has reported what a fresh list returns. How long that took is printed, and of as many runs as
make a figure it is written into build/bench/kube_faults.json, where `make bench-check` finds it; it is not judged here.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from bench.result import LEAST_ROUNDS, figure, report
from datastore.errors import AlreadyExists, Conflict, NotFound, Unavailable
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.ipam import BlockAffinity, IPAMHandle
from datastore.kinds.namespace import Namespace
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube import client, http2, watch_stream
from datastore.kube.store import KubeStore
from datastore.names import workload_endpoint_name
from datastore.record import Resource
from datastore.store import Store
from tests.datastore.kube.test_watch_stream import Watcher
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import Faults, FaultyProxy, faulty_proxy

PATIENCE_SECONDS, LISTED_ANEW_SECONDS = 60.0, 1.0
KINDS: tuple[type[Resource], ...] = (IPPool, BGPPeer, BlockAffinity, IPAMHandle, Node, WorkloadEndpoint, Namespace)
NUMBERS = range(4)


def made(kind: type[Resource], number: int) -> Resource:
    name, node = f"r{number}", f"n{number % 2}"
    match kind.KIND:
        case "IPPool":
            return IPPool.make(name, cidr=f"10.{number}.0.0/16")
        case "BGPPeer":
            return BGPPeer.make(name, peer_ip=f"192.0.2.{number}", as_number=64512)
        case "BlockAffinity":
            return BlockAffinity.make(name, state="pending", node=node, cidr=f"10.0.{number}.0/26", deleted="false")
        case "IPAMHandle":
            return IPAMHandle.make(name, handle_id=name, block={})
        case "Node":
            return Node.make(name)
        case _:
            endpoint = workload_endpoint_name(node, name)
            return WorkloadEndpoint.make(
                endpoint, "red", node=node, pod=name, interface_name="cali1", ip_networks=[f"10.0.0.{number}/32"]
            )


async def write_anything(chance: random.Random, store: Store) -> None:
    """Create, change or delete something; what is in the way or not heard of is not tried again."""
    kind = chance.choice([kind for kind in KINDS if kind is not Namespace])
    meant = made(kind, chance.choice(NUMBERS))
    with suppress(AlreadyExists, Conflict, NotFound, Unavailable):
        match chance.choice(("create", "change", "change", "delete")):
            case "create":
                await store.create(meant)
            case "change":
                mark = {"metadata": {"annotations": {"projectcalico.org/mark": str(chance.random())}}}
                if kind is WorkloadEndpoint:
                    await store.create(meant)
                else:
                    await store.patch(kind, meant.name, mark)
            case "delete" if kind is not Node:
                await store.delete(await store.get(kind, meant.name, meant.namespace))


async def delay(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.delay_seconds = 0.1
    proxy.cut()


async def reset(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.reset()


async def close(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.cut()


async def truncate(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.truncate_watches()


async def fall_silent(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.go_silent()


async def stop_watches(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.fall_asleep()


async def expire_by_status(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.expire_watches = "status"
    proxy.cut()


async def expire_by_event(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.expire_watches = "event"
    proxy.reset()


async def refuse_streaming_lists(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.refuse_streaming_lists, proxy.faults.expire_watches = "event", "event"
    proxy.cut()


async def repeat_events(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.repeat_events = True
    proxy.cut()


async def reorder_kinds(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.hold_watches_of |= {"ippools", "pods", "ipamhandles"}


async def too_many_requests(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.too_many_requests = 3
    proxy.cut()


async def lose_answers(proxy: FaultyProxy, bed: Bed) -> None:
    proxy.faults.lose_answers = 3


async def kill_the_server(proxy: FaultyProxy, bed: Bed) -> None:
    await asyncio.to_thread(bed.control_plane.restart_api_server)


Fault = Callable[[FaultyProxy, Bed], Awaitable[None]]
FAULTS: tuple[Fault, ...] = (
    delay, reset, close, truncate, fall_silent, stop_watches, expire_by_status, expire_by_event, refuse_streaming_lists,
    repeat_events, reorder_kinds, too_many_requests, lose_answers, kill_the_server,
)  # fmt: skip


def heal(proxy: FaultyProxy) -> None:
    proxy.faults = Faults()
    proxy.release()


async def listed(store: Store) -> Mapping[tuple[str, str], str | None]:
    found = [one for kind in KINDS for one in (await store.list(kind)).objects]
    return {(type(one).KIND, one.name): one.revision for one in found}


async def same_as_listed(store: Store, watcher: Watcher) -> float:
    """Wait until the watcher has what a fresh list returns; return for how many seconds."""
    now = asyncio.get_running_loop().time
    begun = now()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while watcher.objects != (expected := await listed(store)):
            with suppress(TimeoutError):
                async with asyncio.timeout(LISTED_ANEW_SECONDS):
                    await watcher.until(lambda: watcher.objects == expected)
    return now() - begun


@pytest.fixture(scope="module")
def seconds() -> Iterator[dict[str, list[float]]]:
    """How long it took after each fault, in each run."""
    found: dict[str, list[float]] = defaultdict(list)
    yield found
    runs = [*zip(*found.values(), strict=False)]
    if len(runs) >= LEAST_ROUNDS:
        slowest = figure("a watch has what a list returns, after the slowest fault of a run", [*map(max, runs)], "s")
        each = [figure(f"the same after {name.replace('_', ' ')}", took, "s") for name, took in sorted(found.items())]
        report("kube_faults", [slowest, *each], len(runs))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have silence noticed after one second, by the same ways as after half a minute."""
    monkeypatch.setattr(http2, "PING_AFTER_SECONDS", 0.2)
    monkeypatch.setattr(http2, "LOST_AFTER_SECONDS", 1.0)
    monkeypatch.setattr(client, "HEADERS_SECONDS", 2.0)
    monkeypatch.setattr(client, "PING_SECONDS", 1.0)
    monkeypatch.setattr(watch_stream, "SILENT_SECONDS", 3.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 7))])
async def test_after_each_fault_the_watch_has_reported_what_a_list_returns(
    bed: Bed, tmp_path: Path, seed: int, seconds: dict[str, list[float]]
) -> None:
    chance = random.Random(seed)
    faults = list(FAULTS)
    chance.shuffle(faults)
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        other, same = bed.open(), bed.open_by(proxy.access)
        reader = KubeStore(proxy.access)
        watcher = Watcher(reader, *KINDS)
        try:
            await same_as_listed(other, watcher)
            for fault in faults:
                await write_anything(chance, other)
                await fault(proxy, bed)
                for _ in range(12):
                    await write_anything(chance, other)
                    await write_anything(chance, same)
                heal(proxy)
                took = await same_as_listed(other, watcher)
                seconds[fault.__name__].append(took)
                print(f"after {fault.__name__}: the same as a list in {took:.2f} s")
        finally:
            for store in (reader, same, other):
                await store.close()
            await watcher.task


@pytest.mark.long
async def test_half_a_minute_of_silence_is_noticed_as_it_is_configured(bed: Bed, tmp_path: Path) -> None:
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        writer, reader = bed.open(), KubeStore(proxy.access)
        watcher = Watcher(reader, *KINDS)
        await same_as_listed(writer, watcher)
        proxy.go_silent()
        await writer.create(made(IPPool, 1))
        print(f"after silence: the same as a list in {await same_as_listed(writer, watcher):.1f} s")
        await reader.close()
        await writer.close()
        await watcher.task
