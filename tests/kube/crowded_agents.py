"""Thousands of agents by their status alone: `python -m tests.kube.crowded_agents KUBECONFIG ADDRESS COUNT`.

The API gets a Node and an agent's pod for each; all pods have one address, where this program answers for whichever
the API server asks, by the path that it passes on. Of a hundred, one has a session that is down and one is served by
nobody. It prints `ready` and goes on until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from datastore.kube.access import Access, read_access
from datastore.kube.client import MERGE_PATCH, ApiClient
from felix_py.status.status_json import to_json
from felix_py.status_model import NodeSummary
from tests.kube.crowd import AT_ONCE, host

PORT, NOBODYS = 9198, 9199
PODS = "/api/v1/namespaces/kube-system/pods"


def summary(number: int) -> NodeSummary:
    """Return what the agent of a node says: the one of each hundredth has a session that is down."""
    odd = number % 100 == 7
    problems = ("the BGP session with 192.0.2.250 is not up (Active)",) if odd else ()
    up, wrong = 2 - odd, int(odd)
    return NodeSummary(host(number), "1.0", True, 30, 1, 2, up, problems=problems, problem_count=wrong)


def pod(number: int) -> dict[str, Any]:
    port = NOBODYS if number % 100 == 8 else PORT
    container = {"name": "agent", "image": "none"}
    spec = {"nodeName": host(number), "automountServiceAccountToken": False, "containers": [container]}
    metadata = {
        "name": name_of(number),
        "labels": {"app.kubernetes.io/name": "felix-py-node"},
        "annotations": {"felix-py/status-port": str(port)},
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def name_of(number: int) -> str:
    return f"felix-py-node-{number}"


async def fill(kubeconfig: Path, address: str, count: int) -> None:
    def access() -> Access:
        return read_access(str(kubeconfig))

    client, room = ApiClient(access), asyncio.Semaphore(AT_ONCE)
    status = json.dumps({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}).encode()

    async def make(number: int) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": host(number)}}
        async with room:
            await client.request("create a node", "POST", "/api/v1/nodes", json.dumps(node).encode())
            await client.request("create a pod", "POST", PODS, json.dumps(pod(number)).encode())
            await client.request("run it", "PATCH", f"{PODS}/{name_of(number)}/status", status, MERGE_PATCH)

    await asyncio.gather(*map(make, range(count)))
    await client.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    [number] = re.findall(rf"(?i)x-forwarded-uri: {PODS}/{name_of(0)[:-1]}(\d+):", head)
    body = json.dumps(to_json(summary(int(number)))).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + body)
    await writer.drain()
    writer.close()


async def main(kubeconfig: Path, address: str, count: int) -> None:
    server = await asyncio.start_server(answer, address, PORT)
    await fill(kubeconfig, address, count)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
