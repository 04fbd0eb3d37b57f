"""Faults of devices and addresses: others remove or rename pods' devices, flush a node's addresses and refill them.

An edge: each is a context in which the fault lasts; it yields what was done.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.cluster import Cluster
from faults.links import UPLINK
from faults.routes import foreign_routes_put_back
from faults.schedule import Fault

_OTHER_NAME = "foreign0"


@asynccontextmanager
async def removed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Remove the device of a pod that is attached for it, which is then deleted by the runtime."""
    pod = f"{fault.node}-removed"
    addresses = (await cluster.ask("pod add", node=fault.node, pod=pod))["addresses"]
    device = await _device_of(cluster, fault.node, addresses[0])
    await cluster.run(fault.node, "ip", "link", "del", device)
    yield f"ip link del {device}; its pod is deleted after {fault.seconds} s"
    await cluster.ask("pod del", pod=pod)


@asynccontextmanager
async def renamed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Rename the device of the pod that probes. Its link goes down and up meanwhile, as older kernels demand."""
    address = next(pod.addresses[0] for pod in cluster.pods if pod.node == fault.node)
    device = await _device_of(cluster, fault.node, address)
    await _rename(cluster, fault.node, device, _OTHER_NAME)
    yield f"{device} is called {_OTHER_NAME} for {fault.seconds} s"
    await _rename(cluster, fault.node, _OTHER_NAME, device)


@asynccontextmanager
async def addresses_flushed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Flush the node's addresses, with which the routes go that need them; then refill them, as a DHCP client would."""
    found = json.loads(await cluster.run(fault.node, "ip", "-json", "-4", "address", "show", UPLINK))[0]["addr_info"]
    texts = [f"{one['local']}/{one['prefixlen']}" for one in found]
    async with foreign_routes_put_back(cluster, fault.node):
        await cluster.run(fault.node, "ip", "-4", "address", "flush", "dev", UPLINK)
        yield f"ip address flush dev {UPLINK}; {', '.join(texts)} back after {fault.seconds} s"
        for text in texts:
            await cluster.run(fault.node, "ip", "address", "add", text, "dev", UPLINK)


async def _device_of(cluster: Cluster, node: str, address: str) -> str:
    """Return the device through which a node reaches its pod."""
    route = json.loads(await cluster.run(node, "ip", "-json", "route", "get", address))[0]
    return str(route["dev"])


async def _rename(cluster: Cluster, node: str, old: str, new: str) -> None:
    await cluster.run(node, "ip", "link", "set", old, "down")
    await cluster.run(node, "ip", "link", "set", old, "name", new)
    await cluster.run(node, "ip", "link", "set", new, "up")
