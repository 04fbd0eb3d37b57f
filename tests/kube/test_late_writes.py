"""ADDs and DELs on a real API server, with an agent's watch behind them: what is asked before the answer, and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from cni import endpoint_writer, journaled_releases, repeated_releases
from cni.attachment import Attachment
from datastore.errors import Unavailable
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube import client
from datastore.kube.handle_names import handle_names
from datastore.kube.store import KubeStore
from datastore.names import workload_endpoint_name
from datastore.record import CRD
from datastore.store import InSync, Interest
from ipam.host_context import CONTEXT_KINDS
from tests.cni.memory import InMemory, in_memory
from tests.cni.node import NODE, until
from tests.cni.test_endpoint_writer import writing
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import FaultyProxy, faulty_proxy
from tests.kube.test_requests import MOST_BATCHES, taken

FEW, MANY = 3, 50
"""Pods that wait on a node, of which one is attached before a test begins."""
REFUSED = [f"refused-{number}" for number in range(20)]
"""Containers that a kubelet makes one after the other for a pod while the API server is away."""


async def _followed(node: InMemory, store: KubeStore, in_sync: asyncio.Event) -> None:
    pods = Interest(WorkloadEndpoint, node=NODE)
    async for event in store.watch(*CONTEXT_KINDS, ClusterInformation, pods):
        node.known.observe(event)
        node.allocator.on_event(event)
        if isinstance(event, InSync):
            in_sync.set()


@asynccontextmanager
async def node_of(
    bed: Bed, folder: Path, count: int = FEW
) -> AsyncIterator[tuple[InMemory, FaultyProxy, list[tuple[str, str]]]]:
    """A node, the proxy between it and the API server, and the pods that wait there: name and UID of each."""
    owner = bed.open()
    async with in_memory(folder, owner), faulty_proxy(bed.access(), folder) as proxy:
        for number in range(count):
            name = f"web-{number}"
            pod = WorkloadEndpoint.make(workload_endpoint_name(NODE, name), "default", node=NODE, pod=name)
            await owner.create(pod)
        store = KubeStore(proxy.access, patience_seconds=0.5)
        node, in_sync = InMemory(store, folder, handle_names=partial(handle_names, store)), asyncio.Event()
        following = asyncio.create_task(_followed(node, store, in_sync))
        await in_sync.wait()
        first, *others = [(str(pod.spec.pod), pod.metadata.uid or "") for pod in node.known.endpoints()]
        await node.add("c-first", first[0], uid=first[1])  # claims the block
        async with writing(node):
            await until(lambda: node.writer.of(Attachment("k8s-pod-network", "c-first", "eth0")) is None)
        taken(proxy)
        yield node, proxy, others
        following.cancel()
        await store.close()


async def until_addresses(node: InMemory, are: Callable[[list[str]], bool]) -> None:
    while not are(await node.addresses()):  # noqa: ASYNC110  (others write the block, which sets no event)
        await asyncio.sleep(0.01)


async def test_pods_that_come_together_are_answered_before_any_is_written_on(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests each before the answer, and one after it, though the answer to one of those is lost."""
    monkeypatch.setattr(endpoint_writer, "FIRST_RETRY_SECONDS", 0.01)
    async with node_of(bed, tmp_path, MANY) as (node, proxy, pods):
        results = await asyncio.gather(*(node.add(f"c-{name}", name, uid=uid) for name, uid in pods))
        spent = taken(proxy)
        assert spent.pop("PUT ipamblocks") <= MOST_BATCHES
        assert spent == {"POST ipamhandles": len(pods)}

        proxy.faults.lose_answer_to = "PATCH"
        async with writing(node):
            attachments = [Attachment("k8s-pod-network", f"c-{name}", "eth0") for name, _ in pods]
            await until(lambda: not any(map(node.writer.of, attachments)))
        assert taken(proxy)["PATCH pods"] == len(pods) + 1
        written = {one.spec.pod: one.spec.ip_networks for one in await node.endpoints()}
        assert [written[name] for name, _ in pods] == [(result["ips"][0]["address"],) for result in results]

        taken(proxy)
        await asyncio.gather(*(node.delete(f"c-{name}", name, uid=uid) for name, uid in pods))
        asked = taken(proxy)  # by the watch too, whose connection was cut
        of_theirs = {what: count for what, count in asked.items() if what.split()[-1] in ("ipamhandles", "pods")}
        assert of_theirs == {"PATCH pods": len(pods), "DELETE ipamhandles": len(pods)}
        assert (asked["PUT ipamblocks"] <= MOST_BATCHES, asked["GET ipamblocks"]) == (True, 0)


async def test_an_add_is_refused_and_a_del_journaled_before_a_silent_connection_is_given_up(
    bed: Bed, tmp_path: Path
) -> None:
    """What they asked for may have been done; their addresses are given back when the datastore is heard again.

    The handle of the ADD was made and names none: that it is nobody's any more is for the collector to say.
    """
    async with node_of(bed, tmp_path) as (node, proxy, [(gone, gone_uid), (name, uid), *_]):
        await node.add("c1", gone, uid=gone_uid)
        connection = cast(KubeStore, node.store)._client._connection
        taken(proxy)
        proxy.go_silent()
        with pytest.raises(Unavailable):
            await node.add("c2", name, uid=uid)
        await node.delete("c1", gone, uid=gone_uid)
        assert connection is not None and connection.usable
        assert [pending.attachment.container_id for pending in node.journal.pending] == ["c2", "c1"]
        await until(lambda: taken(proxy)["POST ipamhandles"] == 1)
        proxy.cut()
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: not node.journal.pending)
        cleaning.cancel()
        [(first, _)] = node.attacher.attached.values()
        assert await node.addresses() == [str(address) for address in first.addresses]


async def go_away(node: InMemory, pod: str, uid: str) -> None:
    """The API server goes away for these: each has an ADD that is refused and a DEL that is noted."""
    node.switch.away = True
    for container in REFUSED:
        with pytest.raises(Unavailable):
            await node.add(container, pod, uid=uid)
        await node.delete(container, pod, uid=uid)


async def come_back(node: InMemory) -> None:
    """The API server is back, and the journal is carried out."""
    node.switch.away, node.switch.calls_left = False, None
    cleaning = asyncio.create_task(node.cleanup.run())
    await until(lambda: not node.journal.pending)
    cleaning.cancel()


@pytest.mark.parametrize("listed", [True, False])
async def test_a_container_that_was_refused_while_the_api_server_was_away_costs_one_request_at_most(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """None where the cluster has so few handles that they are listed. Its pod costs two: what it is, its old handle."""
    monkeypatch.setattr(journaled_releases, "HANDLES_A_RELEASE", 1 if listed else 0)
    async with node_of(bed, tmp_path) as (node, proxy, [(name, uid), *_]):
        await node.allocator.adopt(NODE)
        before = await node.addresses()
        await go_away(node, name, uid)
        taken(proxy)
        await come_back(node)
        how_many_there_are, each = 1, 0 if listed else len(REFUSED) + 1
        assert taken(proxy) == {"GET ipamhandles": how_many_there_are + each, "GET pods": 1, "GET ipamblocks": 1}
        monkeypatch.setattr(repeated_releases, "LATE_WRITE_SECONDS", 0.0)
        repeating = InMemory(node.store, tmp_path, handle_names=partial(handle_names, cast(KubeStore, node.store)))
        await repeating.allocator.adopt(NODE)
        taken(proxy)
        task = asyncio.create_task(repeating.cleanup.run_repeated())
        await until(lambda: repeating.repeated is not None and not repeating.repeated.pending)
        task.cancel()
        assert taken(proxy) == {"GET ipamhandles": how_many_there_are + each, "GET pods": 1}
        assert await node.addresses() == before


@pytest.mark.parametrize("agent", ["the same", "the next"])
@pytest.mark.parametrize("write", [f"PUT /apis/{CRD}/ipamblocks", "PATCH /api/v1/namespaces/default/pods"])
async def test_what_was_written_and_not_heard_of_before_the_api_server_went_away_is_taken_back(
    bed: Bed, tmp_path: Path, write: str, agent: str
) -> None:
    """Of one container in the journal among many that were refused."""
    async with node_of(bed, tmp_path) as (node, proxy, [(name, uid), *_]):
        await node.allocator.adopt(NODE)
        before = await node.addresses()
        proxy.faults.lose_answer_to = write
        if write.startswith("PUT"):
            node.switch.calls_left = 2  # the block's and the handle's
            with pytest.raises(Unavailable):
                await node.add("unheard", name, uid=uid)
        else:
            await node.add("unheard", name, uid=uid)
            node.switch.calls_left = 1
            async with writing(node):
                await until(lambda: node.switch.away)
        assert not proxy.faults.lose_answer_to, "it was lost"
        await node.delete("unheard", name, uid=uid)
        await go_away(node, name, uid)
        assert len(await node.addresses()) == len(before) + 1
        if agent == "the next":
            store = cast(KubeStore, node.store)
            node = InMemory(store, tmp_path, handle_names=partial(handle_names, store))
            await node.allocator.adopt(NODE)
        await come_back(node)
        assert await node.addresses() == before
        assert all(one.spec.ip_networks == () for one in await node.endpoints() if one.spec.pod == name)


@pytest.mark.parametrize("ended", ["refused", "killed", "killed and the datastore away"])
async def test_an_address_that_is_assigned_after_its_del_is_released(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """The API server keeps the block's write back from its client and carries it out when all others are done."""
    monkeypatch.setattr(repeated_releases, "LATE_WRITE_SECONDS", 0.0)
    async with node_of(bed, tmp_path) as (node, proxy, [(name, uid), *_]):
        before = await node.addresses()
        proxy.faults.hold_write = f"PUT /apis/{CRD}/ipamblocks"
        with monkeypatch.context() as patience:
            patience.setattr(client, "DEADLINE_SECONDS", 0.5 if ended == "refused" else 600.0)
            adding = asyncio.create_task(node.add("c1", name, uid=uid))
            await until(lambda: not proxy.faults.hold_write)
            if ended == "refused":
                with pytest.raises(Unavailable):
                    await adding
        if ended != "refused":
            node = InMemory(node.store, tmp_path)  # which knows nothing of the ADD
            node.switch.away = ended != "killed"
            await node.delete("c1", name, uid=uid)
            node.switch.away = False
        assert node.repeated is not None
        cleaning = asyncio.create_task(node.cleanup.run())
        await until(lambda: not node.journal.pending)
        assert [one.attachment.container_id for one in node.repeated.pending] == ["c1"]
        assert await node.addresses() == before

        proxy.release()
        await until_addresses(node, lambda found: found != before)
        after = InMemory(node.store, tmp_path)  # started anew before it was time
        assert after.repeated is not None
        repeating = asyncio.create_task(after.cleanup.run_repeated())
        await until_addresses(node, lambda found: found == before)
        await until(lambda: after.repeated is not None and not after.repeated.pending)
        for task in (cleaning, repeating, adding):
            task.cancel()
        await asyncio.gather(cleaning, repeating, adding, return_exceptions=True)
