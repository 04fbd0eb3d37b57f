"""The lab's own control socket, within its world: one JSON line asks, one JSON line answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from lab.cluster import Cluster, LabError

Say = Callable[[Mapping[str, Any]], None]


async def serve(cluster: Cluster, path: str, give_up_seconds: float, say: Say) -> int:
    """Bring the cluster up, say how that went, and answer until the world ends; return 1 if it never came up."""
    server = await asyncio.start_unix_server(_conversation(cluster), path)
    async with server:
        try:
            await cluster.bring_up(give_up_seconds)
            say({"report": await cluster.picture()})
        except LabError as error:
            say({"failed": str(error)})
            return 1
        await server.serve_forever()
    return 0


def _conversation(
    cluster: Cluster,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                answer = {"answer": await _answer(cluster, json.loads(line))}
            except (LabError, ValueError, ConnectionError) as error:
                answer = {"failed": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    return converse


async def _answer(cluster: Cluster, request: Mapping[str, Any]) -> Any:
    match request:
        case {"verb": "status"}:
            return await cluster.picture()
        case {"verb": "matrix"}:
            return await cluster.matrix()
        case {"verb": "page", "node": node, "page": page}:
            return await cluster.page(node, page)
        case {"verb": "holder", "node": name}:
            return _holder(cluster, name)
        case {"verb": "pod add", "node": node, "pod": name}:
            pod = await cluster.add_pod(node, name)
            return {"name": pod.name, "node": pod.node, "addresses": list(pod.addresses)}
        case {"verb": "pod del", "pod": name}:
            return await cluster.delete_pod(name)
        case {"verb": "gc", "node": node}:
            return await cluster.collect(node)
        case {"verb": "kill", "node": node, "what": what}:
            return cluster.kill(node, what)
        case {"verb": "traffic start", "per_second": per_second}:
            return await cluster.start_traffic(per_second)
        case {"verb": "traffic stop"}:
            return await cluster.stop_traffic()
        case _:
            raise ValueError(f"the lab does not know {request.get('verb')!r}")


def _holder(cluster: Cluster, name: str) -> int:
    """Return the process to enter for a node, a speaker or a pod."""
    if name in cluster.nodes:
        return cluster.nodes[name].place.holder
    if name == cluster.router.name:
        return cluster.router.holder
    if name in cluster.speakers:
        return cluster.speakers[name].place.holder
    if name in cluster.pods:
        return cluster.pods[name].process.pid
    known = (*cluster.nodes, *cluster.speakers, *cluster.pods)
    raise LabError(f"enter {name}: there is no such node, peer or pod; known: {', '.join(known)}")
