"""What pods that are gone have left on the nodes and in the datastore, and what programs have left in their logs.

An edge that reads. It looks when only the lab's first pods are left.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path

import datastore
from datastore.kinds.ipam import IPAMBlock
from datastore.kinds.pods import WorkloadEndpoint
from faults.cluster import Cluster
from lab.paths import DATASTORE
from lab.state_model import PodState

PATIENCE_SECONDS = 10.0  # devices are deleted in the background
LOGS = ("agent", "sidecar")
_TRACEBACK = re.compile(r"^.*Traceback \(most recent call last\).*(?:(?:\n[ \t].*)+\n.*)?", re.MULTILINE)


async def leaks(cluster: Cluster) -> tuple[str, ...]:
    """Return what belongs to none of the pods that stayed, a sentence each, once what goes away by itself has gone."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while found := [*await _in_the_datastore(cluster.pods), *await _on_the_nodes(cluster)]:
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.2)
    return tuple(found)


async def _in_the_datastore(pods: Sequence[PodState]) -> list[str]:
    store = datastore.open(DATASTORE)
    try:
        blocks = (await store.list(IPAMBlock)).objects
        endpoints = (await store.list(WorkloadEndpoint)).objects
    finally:
        await store.close()
    allocated = {
        str(ip_network(block.spec.cidr)[ordinal])
        for block in blocks
        for ordinal, index in enumerate(block.spec.allocations)
        if index is not None
    }
    names, addresses = {pod.name for pod in pods}, {address for pod in pods for address in pod.addresses}
    return [
        *(f"address {address} is allocated, and no pod has it" for address in sorted(allocated - addresses)),
        *(f"address {address} of a pod is not allocated" for address in sorted(addresses - allocated)),
        *(f"endpoint {one.name} is of no pod" for one in endpoints if one.spec.pod not in names),
    ]


async def _on_the_nodes(cluster: Cluster) -> list[str]:
    found: list[str] = []
    for node in cluster.nodes:
        own = [pod for pod in cluster.pods if pod.node == node]
        found += (f"{node}: {text}" for text in await _on_a_node(cluster, node, own))
    return found


async def _on_a_node(cluster: Cluster, node: str, pods: Sequence[PodState]) -> list[str]:
    links = json.loads(await cluster.run(node, "ip", "-json", "link", "show", "type", "veth"))
    routes = json.loads(await cluster.run(node, "ip", "-json", "-4", "route", "show", "proto", "80", "type", "unicast"))
    addresses = {address for pod in pods for address in pod.addresses}
    devices = [link["ifname"] for link in links if link["ifname"] != "eth0"]
    journal = _files(cluster, node, "/var/lib/felix/deletes")
    return [
        *([f"{len(devices)} devices of {len(pods)} pods: {', '.join(devices)}"] if len(devices) != len(pods) else []),
        *(f"route {route['dst']} is of no pod" for route in routes if route["dst"] not in addresses),
        *(f"the journal has a DEL that was not carried out: {path.name}" for path in journal),
    ]


def _files(cluster: Cluster, node: str, folder: str) -> list[Path]:
    path = cluster.nodes[node].path(folder)
    return sorted(path.iterdir()) if path.is_dir() else []


def logs(cluster: Cluster) -> Mapping[str, str]:
    """Return the logs of all nodes' programs, as node-program."""
    return {
        f"{node}-{program}": path.read_text(errors="replace")
        for node, namespace in cluster.nodes.items()
        for program in LOGS
        if (path := namespace.path(f"/var/log/{program}.log")).exists()
    }


def tracebacks(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield each traceback of the logs, with the line before it and its own lines."""
    for name, text in texts.items():
        for found in _TRACEBACK.finditer(text):
            yield f"{name}: {found[0]}"
