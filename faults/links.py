"""Faults between nodes: a link that goes down, a cable that is pulled, packets that are dropped, another MTU.

An edge: each is a context in which the fault lasts; it yields what was done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faults.cluster import Cluster, FaultError
from faults.routes import foreign_routes_put_back
from faults.schedule import Fault

UPLINK = "eth0"
_TABLE = "faults"
_SHARES = (100, 30)  # of the packets, in per cent
_MTUS = (1400, 1280, 9000)


@asynccontextmanager
async def down(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Set the node's link down: the kernel drops every route through it without a word."""
    async with foreign_routes_put_back(cluster, fault.node):
        await cluster.run(fault.node, "ip", "link", "set", UPLINK, "down")
        yield f"ip link set {UPLINK} down, up after {fault.seconds} s"
        await cluster.run(fault.node, "ip", "link", "set", UPLINK, "up")


@asynccontextmanager
async def unplugged(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Take the node's port on the bridge down, so that its link has no carrier."""
    await _set_port(fault.node, "down")
    yield f"no carrier on {UPLINK} for {fault.seconds} s"
    await _set_port(fault.node, "up")


@asynccontextmanager
async def dropped(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    """Drop what the node gets from another one, all of it or a share by chance."""
    share = _SHARES[fault.choice % len(_SHARES)]
    address = json.loads(await cluster.run(fault.other, "ip", "-json", "link", "show", UPLINK))[0]["address"]
    chance = "" if share == 100 else f"numgen random mod 100 < {share} "
    await cluster.run(
        fault.node,
        "nft",
        f"add table inet {_TABLE}; "
        f"add chain inet {_TABLE} in {{ type filter hook prerouting priority -400; }}; "
        f"add rule inet {_TABLE} in ether saddr {address} {chance}drop",
    )
    yield f"{share} % of the packets from {fault.other} dropped for {fault.seconds} s"
    await cluster.run(fault.node, "nft", "delete", "table", "inet", _TABLE)


@asynccontextmanager
async def mtu_changed(cluster: Cluster, fault: Fault) -> AsyncIterator[str]:
    mtu = _MTUS[fault.choice % len(_MTUS)]
    before = json.loads(await cluster.run(fault.node, "ip", "-json", "link", "show", UPLINK))[0]["mtu"]
    await cluster.run(fault.node, "ip", "link", "set", UPLINK, "mtu", str(mtu))
    yield f"ip link set {UPLINK} mtu {mtu}, {before} again after {fault.seconds} s"
    await cluster.run(fault.node, "ip", "link", "set", UPLINK, "mtu", str(before))


async def _set_port(node: str, state: str) -> None:
    """Set a port of the bridge, which is in the network namespace of this process. Raises FaultError."""
    process = await asyncio.create_subprocess_exec("ip", "link", "set", node, state, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        raise FaultError(f"set the port of {node} {state}: {errors.decode().strip()}")
