"""Endpoints by compare-and-swap, on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import datastore
from cni.attachment import Attachment, PodRef
from cni.endpoints import Endpoints
from cni.errors import CniError
from cni.known import Known
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import workload_endpoint_name
from datastore.store import Changed, Store
from tests.cni.node import NODE
from tests.cni.pod_store import PodStore

POD = PodRef("default", "web")


def endpoint(container: str | None, pod: str = "web") -> WorkloadEndpoint:
    name = workload_endpoint_name("n1", pod)
    return WorkloadEndpoint.make(name, namespace="default", node="n1", pod=pod, containerID=container)


def attachment(container: str) -> Attachment:
    return Attachment("net", container, "eth0")


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[Endpoints, Store]]:
    store = datastore.open("sqlite:///:memory:")
    try:
        await store.create(Node.make("n1"))
        yield Endpoints(store, "n1"), store
    finally:
        await store.close()


async def container_of(endpoints: Endpoints) -> str | None:
    there = await endpoints.get(POD, "eth0")
    return there.spec.container_id if there else "there is none"


async def test_the_newest_container_takes_the_endpoint_over() -> None:
    async with opened() as (endpoints, _):
        for container in ("old", "new"):
            await endpoints.put(endpoint(container))
            assert await container_of(endpoints) == container


async def test_an_older_container_does_not_delete_a_newer_ones_endpoint() -> None:
    async with opened() as (endpoints, _):
        await endpoints.put(endpoint("new"))
        await endpoints.delete(attachment("old"), POD)
        assert await container_of(endpoints) == "new"
        await endpoints.delete(attachment("new"), POD)
        await endpoints.delete(attachment("new"), POD)
        assert await endpoints.get(POD, "eth0") is None


async def test_a_pod_that_shows_no_attachment_is_not_written_on_when_one_ends() -> None:
    """As one whose ADDs were refused: a kubelet makes one container after the other for it."""
    store = PodStore()
    endpoints, pod = Endpoints(store, NODE), PodRef("default", "web-1", store.make_pod())
    for container in ("c1", "c2"):
        assert await endpoints.delete(attachment(container), pod)
    assert store.written == []
    store.report("10.65.0.1/32", name=pod.name)  # of an agent that named no container
    assert await endpoints.delete(attachment("c3"), pod)
    assert store.written == [""]


async def test_an_endpoint_without_a_container_is_deleted_for_its_pod() -> None:
    async with opened() as (endpoints, _):
        await endpoints.put(endpoint(None))
        await endpoints.delete(attachment("any"), POD)
        assert await endpoints.get(POD, "eth0") is None


async def test_an_endpoint_that_changed_after_it_was_read_is_read_again() -> None:
    async with opened() as (endpoints, _):
        await endpoints.put(endpoint("old"))
        read = await endpoints.get(POD, "eth0")
        await endpoints.put(endpoint("new"))
        await endpoints.delete(attachment("old"), POD, read)
        assert await container_of(endpoints) == "new"


async def test_one_write_that_is_refused_does_not_fail_those_that_came_with_it() -> None:
    async with opened() as (endpoints, store):
        await endpoints.put(endpoint("old"))
        await asyncio.gather(*(endpoints.put(endpoint("new", pod)) for pod in ("web", "db", "cache")))
        written = (await store.list(WorkloadEndpoint)).objects
        assert {(one.spec.pod, one.spec.container_id) for one in written} == {
            ("web", "new"), ("db", "new"), ("cache", "new"),
        }  # fmt: skip


@pytest.mark.parametrize(("ready", "named"), [(None, "not set up yet"), (False, "datastoreReady false")])
async def test_a_datastore_that_is_not_ready_is_code_11(ready: bool | None, named: str) -> None:
    async with opened() as (endpoints, store):
        if ready is not None:
            await store.create(ClusterInformation.make("default", datastore_ready=ready))
        with pytest.raises(CniError, match=named) as refused:
            await endpoints.require_ready()
        assert refused.value.code == 11


async def test_without_its_node_nothing_is_attached() -> None:
    async with opened() as (endpoints, store):
        await store.create(ClusterInformation.make("default", datastore_ready=True))
        await store.delete(await store.get(Node, "n1"))
        with pytest.raises(CniError, match="there is no Node n1") as refused:
            await endpoints.require_ready()
        assert refused.value.code == 11


async def test_a_datastore_that_is_ready_is_no_error() -> None:
    async with opened() as (endpoints, store):
        await store.create(ClusterInformation.make("default", datastore_ready=True))
        await asyncio.gather(*(endpoints.require_ready() for _ in range(3)))


async def test_a_datastore_that_is_not_taken_for_the_clusters_is_code_11_whatever_the_watch_held_before() -> None:
    known = Known("n1")
    known.observe(Changed(ClusterInformation.make("default", datastoreReady=True)))
    known.observe(Changed(Node.make("n1")))
    async with opened() as (_, store):
        await Endpoints(store, "n1", known).require_ready()
        held_back = Endpoints(store, "n1", known, lambda: "nearly everything went at once")
        with pytest.raises(CniError, match=r"^nearly everything went at once; no address is given") as refused:
            await held_back.require_ready()
        assert refused.value.code == 11
