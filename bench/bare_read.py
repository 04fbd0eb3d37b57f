"""Read what `felixctl ipam check` reads, by the same client, and look at nothing: `python -m bench.bare_read URL`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube.access import read_access
from datastore.kube.client import ApiClient
from datastore.kube.listing import list_all
from datastore.kube.paths import collection
from datastore.record import CRD
from datastore.url import KubernetesApi, parse_url

KINDS = (IPAMBlock, BlockAffinity, IPPool, IPAMHandle, Node, WorkloadEndpoint)


async def read_api(kubeconfig: str) -> int:
    """Return how many objects there are."""
    client = ApiClient(lambda: read_access(kubeconfig))
    try:
        return sum([len((await list_all(client, "read", collection(kind, CRD), {}, len))[0]) for kind in KINDS])
    finally:
        await client.close()


def read_file(path: str) -> int:
    with sqlite3.connect(path) as connection:
        select = "SELECT record FROM object WHERE kind = ?"
        return sum(len(text) > 0 for kind in KINDS for (text,) in connection.execute(select, (kind.KIND,)))


def main(url: str) -> None:
    address = parse_url(url)
    if isinstance(address, KubernetesApi):
        print(asyncio.run(read_api(str(address.kubeconfig))))
    else:
        print(read_file(str(address.path)))


if __name__ == "__main__":
    main(sys.argv[1])
