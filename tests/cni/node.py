"""One node in one thread: a network namespace of its own, a store, the real verbs behind the real socket.

                  this thread's namespace                     a pod's namespace
shim ── cni.sock ── verbs ── cali… (label, sysctls) ═══════════ eth0 10.65.0.x/32
                      └───── Router: 10.65.0.x/32 dev cali…          default via 169.254.1.1
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import sqlite3
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import datastore
from cni.journal import Journal
from cni.notes import Notes
from cni.server import CniServer
from cni.settings import CniSettings
from cni.verbs import Verbs
from cni.veth import Veth
from datastore.errors import Unavailable
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.store import Store
from ipam.allocator import Allocator
from ipam.block import allocations
from kernel.link_codec import Link
from kernel.links import Devices
from kernel.netns import inside, new_network_namespace, unshare_network
from kernel.route import NextHop, RouteSpec
from kernel.rtnetlink import Rtnetlink
from net.prefix import Prefix
from tests.cni.conftest import Ended, call, configuration

NODE = "n1"
SETTINGS = CniSettings(NODE)
DUAL: dict[str, Any] = {"ipam": {"assign_ipv4": True, "assign_ipv6": True}}
_numbers = itertools.count(1)


def on_a_node(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test in a thread that has a network namespace of its own; it goes away with the thread."""

    @functools.wraps(test)
    def run(*args: Any, **fixtures: Any) -> None:
        failures: list[BaseException] = []

        def body() -> None:
            try:
                unshare_network()
                with closing(Devices()) as devices:
                    devices.set_up(1)
                asyncio.run(_within_time(test(*args, **fixtures)))
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]

    return run


async def _within_time(work: Awaitable[None]) -> None:
    async with asyncio.timeout(120):
        await work


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another task or process brings about; the test's own time ends it."""
    while not condition():  # noqa: ASYNC110  (what is awaited is a file or a process, which sets no event)
        await asyncio.sleep(0.02)


def take_down(name: str) -> None:
    """Take a device of this thread's namespace down."""
    subprocess.run(["ip", "link", "set", name, "down"], check=True)


class Sandbox:
    """A pod's network namespace, kept by a descriptor."""

    def __init__(self, pod: str | None = None, container: str | None = None) -> None:
        number = next(_numbers)
        self.pod = pod or f"pod-{number}"
        self.container = container or f"{os.getpid():08x}{number:056x}"
        self.netns = new_network_namespace()

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.netns}"

    def close(self) -> None:
        os.close(self.netns)

    def environment(self, verb: str, **more: str) -> dict[str, str]:
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={self.pod}"
        return call(verb, CNI_CONTAINERID=self.container, CNI_NETNS=self.path, CNI_ARGS=args) | more

    def device(self, name: str = "eth0") -> Link | None:
        with inside(self.netns), closing(Devices()) as pod:
            return pod.link(name)

    def addresses(self, name: str = "eth0") -> set[Prefix]:
        with inside(self.netns), closing(Devices()) as pod:
            link = pod.link(name)
            every = pod.addresses(link.index) if link else []
            return {Prefix(one.address, one.length) for one in every if one.scope == 0}


class Router:
    """The smallest honest agent: it writes a pod's host routes, and takes them back."""

    def __init__(self, kernel: Rtnetlink) -> None:
        self._kernel = kernel
        self.attached: dict[str, tuple[str | None, list[tuple[Prefix, RouteSpec]]]] = {}
        self.refuses = False

    async def attach(self, endpoint: WorkloadEndpoint, device: int) -> None:
        if self.refuses:
            raise RuntimeError("the routes are refused")
        routes = [
            (Prefix.parse(text), RouteSpec(80, 1030, hops=(NextHop(device),), scope=253 if "." in text else 0))
            for text in endpoint.spec.ip_networks
        ]
        self.attached[endpoint.name] = (endpoint.spec.container_id, routes)
        assert await self._kernel.apply(routes) == []

    async def detach(self, endpoint: WorkloadEndpoint) -> None:
        owner, routes = self.attached.get(endpoint.name, (None, []))
        if owner == endpoint.spec.container_id:
            del self.attached[endpoint.name]
            await self._kernel.apply((), routes)


class Switch:
    """A store that can be switched off, between any two of its verbs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.calls_left: int | None = None

    def __getattr__(self, verb: str) -> Any:
        if verb in {"get", "list", "create", "update", "delete", "write"}:
            if self.calls_left is not None:
                self.calls_left -= 1
                self.away = self.away or self.calls_left < 0
            if self.away:
                return _unavailable
        return getattr(self._store, verb)


async def _unavailable(*_: Any, **__: Any) -> None:
    raise Unavailable("the test has switched the datastore off")


class NodeUnderTest:
    """A node, and ways to look at everything it holds."""

    def __init__(self, shim: Path, folder: Path, store: Store, settings: CniSettings) -> None:
        self.shim, self.folder = shim, folder
        self.switch = Switch(store)
        self.store = store
        switched = cast(Store, self.switch)
        self.kernel = Rtnetlink()
        self.router = Router(self.kernel)
        self.journal = Journal(folder / "released.journal")
        self.allocator = Allocator(store)
        self.limitation: str | None = None
        self.pod_mtu = 1500
        self.serving = Allocator(switched)
        self.veth = Veth()
        self.verbs = Verbs(
            settings,
            switched,
            self.serving,
            self.router,
            self.journal,
            self.veth,
            pod_mtu=lambda: self.pod_mtu,
            limitation=lambda: self.limitation,
            plugins=folder / "plugins",
        )
        self.notes = Notes(folder)
        self.server = CniServer(folder / "cni.sock", self.verbs, self.serving.arrivals)
        self._sandboxes: list[Sandbox] = []

    def sandbox(self, pod: str | None = None, container: str | None = None) -> Sandbox:
        made = Sandbox(pod, container)
        self._sandboxes.append(made)
        return made

    async def call(self, environment: dict[str, str], network: dict[str, Any] | bytes | None = None) -> Ended:
        """Run the shim as a runtime does."""
        given = configuration() if network is None else network
        process = await asyncio.create_subprocess_exec(
            self.shim,
            env=environment | {"FELIX_CNI_SOCKET": str(self.folder / "cni.sock"), "FELIX_STATE_DIR": str(self.folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(given if isinstance(given, bytes) else json.dumps(given).encode())
        assert process.returncode is not None
        return Ended(process.returncode, out)

    async def add(self, sandbox: Sandbox, **network: Any) -> dict[str, Any]:
        ended = await self.call(sandbox.environment("ADD"), configuration(**network))
        assert ended.status == 0, ended.stdout
        return ended.document

    async def refused(
        self, environment: dict[str, str], network: dict[str, Any] | bytes | None = None
    ) -> dict[str, Any]:
        """Run the shim where it must fail, and return its error."""
        ended = await self.call(environment, network)
        assert ended.status == 1, ended.stdout
        return ended.document

    async def delete(self, sandbox: Sandbox, **environment: str) -> None:
        ended = await self.call(sandbox.environment("DEL", **environment))
        assert (ended.status, ended.stdout) == (0, b"")

    async def delete_without_datastore(self, *sandboxes: Sandbox) -> None:
        """Run DELs while the datastore is away: they succeed, and their releases are in the journal."""
        self.switch.away = True
        for sandbox in sandboxes:
            await self.delete(sandbox)
        self.switch.away = False

    async def endpoints(self) -> list[WorkloadEndpoint]:
        return list((await self.store.list(WorkloadEndpoint)).objects)

    def spoil(self, kind: type[Resource]) -> None:
        """Let no record of a kind be readable."""
        with closing(sqlite3.connect(self.folder / "cluster.db")) as connection, connection:
            connection.execute("UPDATE object SET record = '{\"kind\": 7}' WHERE kind = ?", (kind.KIND,))

    async def assigned(self, sandbox: Sandbox, network: str = "k8s-pod-network") -> set[str]:
        return {str(address) for address in await self.allocator.held(f"{network}.{sandbox.container}")}

    async def clean_up(self) -> None:
        """Let the background work of the verbs run until the journal is empty."""
        cleaning = asyncio.create_task(self.verbs.cleanup.run())
        await until(lambda: not self.journal.pending)
        cleaning.cancel()

    async def host_routes(self) -> set[str]:
        return {str(prefix) for prefix, _ in await self.kernel.dump({80})}

    def devices(self) -> set[str]:
        with closing(Devices()) as devices:
            return {link.name for link in devices.links().values() if link.kind == "veth"}

    async def holds_nothing(self) -> bool:
        """Whether no pod has left an endpoint, an address, a route or (once retired ones are deleted) a device."""
        await self.verbs.cleanup.delete_retired()
        held = [one for block in (await self.store.list(IPAMBlock)).objects for one in allocations(block)]
        left = (await self.endpoints(), held, (await self.store.list(IPAMHandle)).objects, await self.host_routes())
        return not any(left) and not self.devices()

    def close(self) -> None:
        self.veth.close()
        self.kernel.close()
        for sandbox in self._sandboxes:
            sandbox.close()


@asynccontextmanager
async def serving_node(
    shim: Path,
    folder: Path,
    *pools: IPPool,
    url: str | None = None,
    settings: CniSettings = SETTINGS,
) -> AsyncIterator[NodeUnderTest]:
    """A node that serves, with these pools (one of IPv4 and one of IPv6 if none is given)."""
    store = datastore.open(url or f"sqlite://{folder}/cluster.db")
    if url is None:
        await store.create(ClusterInformation.make("default", datastore_ready=True))
        await store.create(Node.make(NODE))
        for pool in pools or (IPPool.make("four", cidr="10.65.0.0/16"), IPPool.make("six", cidr="fd65::/48")):
            await store.create(pool)
    here = NodeUnderTest(shim, folder, store, settings)
    await here.server.start(partial(here.notes.take_up, here.verbs))
    try:
        yield here
    finally:
        await here.server.stop()
        here.close()
        await store.close()
