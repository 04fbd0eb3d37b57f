"""The lab's own control socket, within its namespaces: one JSON line asks, one JSON line answers."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from typing import Any

from felix_py.status.status_json import to_json
from lab.cluster import LabCluster, LabError
from lab.progress import emit
from lab.state import cluster_state
from lab.traffic import ping_matrix


async def serve(cluster: LabCluster, path: str, give_up_seconds: float) -> int:
    """Bring the cluster up, emit its report, and answer until the lab ends; return 1 if it never came up."""
    server = await asyncio.start_unix_server(_conversation(cluster), path)
    async with server:
        try:
            await cluster.bring_up(give_up_seconds)
            emit({"report": to_json(await cluster_state(cluster))})
        except LabError as error:
            emit({"failed": str(error)})
            return 1
        await server.serve_forever()
    return 0


def _conversation(
    cluster: LabCluster,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                answer = {"answer": await _answer(cluster, json.loads(line))}
            except (LabError, ValueError, KeyError, ConnectionError) as error:
                answer = {"failed": str(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    return converse


async def _answer(cluster: LabCluster, request: Mapping[str, Any]) -> Any:
    match request:
        case {"verb": "status"}:
            return to_json(await cluster_state(cluster))
        case {"verb": "matrix"}:
            return ping_matrix(list(cluster.pods.values()), await cluster.ping())
        case {"verb": "page", "node": node, "page": page}:
            return await cluster.node(node).page(page)
        case {"verb": "namespace_pid", "node": name}:
            return _namespace_pid(cluster, name)
        case {"verb": "pod add", "node": node, "pod": name}:
            pod = await cluster.add_pod(node, name, request.get("uid", ""), request.get("address", ""))
            return {"name": pod.name, "node": pod.node, "addresses": list(pod.addresses)}
        case {"verb": "pod del", "pod": name}:
            return await cluster.delete_pod(name)
        case {"verb": "gc", "node": node}:
            return await cluster.collect(node)
        case {"verb": "kill", "node": node, "what": what}:
            return cluster.kill(node, what, signal.Signals[request.get("signal", "SIGKILL")])
        case {"verb": "traffic start", "per_second": per_second}:
            return await cluster.traffic.start(list(cluster.pods.values()), per_second)
        case {"verb": "traffic report", "since": since}:
            return to_json(await cluster.traffic.report(since))
        case {"verb": "traffic stop"}:
            return await cluster.traffic.stop()
        case _:
            raise ValueError(f"the lab does not know {request.get('verb')!r}")


def _namespace_pid(cluster: LabCluster, name: str) -> int:
    """Return the process whose namespaces to enter for a node, a speaker or a pod. Raises LabError."""
    if name in cluster.nodes:
        return cluster.nodes[name].namespace.pid
    if name == cluster.router.name:
        return cluster.router.pid
    if name in cluster.speakers:
        return cluster.speakers[name].namespace.pid
    if name in cluster.pods:
        return cluster.pods[name].process.pid
    known = (*cluster.nodes, *cluster.speakers, *cluster.pods)
    raise LabError(f"enter {name}: there is no such node, peer or pod; known: {', '.join(known)}")
