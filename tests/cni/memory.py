"""The verbs without shim, agent and kernel: a store in memory that can be switched off, and the fakes.

parse ── verbs ── FakePodDevices
           ├───── FakeAttacher
           └───── SQLite in memory
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import datastore
from cni.add import AddVerb
from cni.attacher import FakeAttacher
from cni.check import CheckVerb
from cni.delegation import Delegation
from cni.delete import Cleanup, DelVerb
from cni.endpoints import Endpoints
from cni.journal import Journal, PendingRelease
from cni.journaled_releases import HandleNames
from cni.known import Known
from cni.locks import KeyedLock
from cni.namespaces import Namespaces
from cni.pod_devices import FakePodDevices
from cni.repeated_releases import RepeatedReleases
from cni.request import CniRequest, Verb, parse
from cni.settings import CniSettings
from cni.unwritten import UnwrittenPods
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Store
from ipam.allocator import Allocator
from ipam.block import allocations
from tests.cni.conftest import call, configuration
from tests.cni.node import NODE, Switch

NETNS = -1  # the fakes enter no namespace


def request(
    verb: Verb, container: str = "c1", pod: str = "web-1", device: str = "eth0", uid: str = "", **network: Any
) -> CniRequest:
    args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod}" + (uid and f";K8S_POD_UID={uid}")
    environment = call(verb, CNI_CONTAINERID=container, CNI_IFNAME=device, CNI_NETNS="/run/netns/a", CNI_ARGS=args)
    return parse(environment, json.dumps(configuration(**network)).encode())


class InMemory:
    """ADD and DEL, and everything they leave behind."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        namespaces: Namespaces | None = None,
        plugins: Path = Path("/nowhere"),
        handle_names: HandleNames | None = None,
    ) -> None:
        self.store, self.switch = store, Switch(store)
        switched = cast(Store, self.switch)
        self.attacher, self.devices = FakeAttacher(), FakePodDevices()
        self.journal = Journal(folder / "released.journal")
        settings, allocator, self.known = CniSettings(NODE), Allocator(switched), Known(NODE)
        self.held_back, self.allocator = "", allocator
        endpoints = Endpoints(switched, NODE, self.known, lambda: self.held_back)
        self.writer = endpoints.writer
        self.unwritten = UnwrittenPods(self.devices, endpoints, self.known, allocator)
        locks = KeyedLock()
        self.repeated = None if store.atomic else RepeatedReleases(Journal(folder / "repeated.journal"))
        self.cleanup = Cleanup(
            settings, allocator, self.devices, endpoints, self.journal, locks, self.repeated, handle_names
        )
        self.observed: list[CniRequest] = []
        given = Delegation(plugins, switched, NODE, self.known)
        self._add = AddVerb(
            settings,
            allocator,
            self.attacher,
            self.devices,
            endpoints,
            self.cleanup,
            pod_mtu=lambda: 1440,
            observe=self.observed.append,
            namespaces=namespaces,
            delegation=given,
        )
        self._del = DelVerb(settings, self.attacher, self.devices, endpoints, self.cleanup, given)
        self._check = CheckVerb(settings, allocator, self.devices, endpoints, lambda: 1440, given)

    async def add(self, container: str = "c1", pod: str = "web-1", **network: Any) -> dict[str, Any]:
        return await self._add.run(request("ADD", container, pod, **network), NETNS)

    async def delete(self, container: str = "c1", pod: str = "web-1", **network: Any) -> None:
        await self._del.run(request("DEL", container, pod, **network), NETNS)

    async def take_up(self, container: str = "c1", pod: str = "web-1", **network: Any) -> None:
        releases = list[PendingRelease]()
        await self._del.take_up(request("DEL", container, pod, **network), releases)
        self.cleanup.journal(releases, "its DEL came while no agent listened")

    async def check(self, result: dict[str, Any], container: str = "c1", pod: str = "web-1", **network: Any) -> None:
        await self._check.run(request("CHECK", container, pod, prevResult=result, **network), NETNS)

    async def endpoints(self) -> list[WorkloadEndpoint]:
        return list((await self.store.list(WorkloadEndpoint)).objects)

    async def addresses(self) -> list[str]:
        blocks = (await self.store.list(IPAMBlock)).objects
        return [str(one.address) for block in blocks for one in allocations(block)]

    async def holds_nothing(self) -> bool:
        handles = (await self.store.list(IPAMHandle)).objects
        left = (await self.endpoints(), await self.addresses(), handles, self.attacher.attached, self.devices.made)
        return not any(left)


@asynccontextmanager
async def in_memory(
    folder: Path, store: Store | None = None, namespaces: Namespaces | None = None
) -> AsyncIterator[InMemory]:
    """A node with a pool of IPv4 and one of IPv6, in a store that is ready."""
    store = store or datastore.open("sqlite:///:memory:")
    await store.create(ClusterInformation.make("default", datastore_ready=True))
    await store.create(Node.make(NODE))
    for pool in (IPPool.make("four", cidr="10.65.0.0/16"), IPPool.make("six", cidr="fd65::/48")):
        await store.create(pool)
    try:
        yield InMemory(store, folder, namespaces)
    finally:
        await store.close()
