"""Records that a real Calico wrote, put into a datastore."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import yaml

import datastore
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.record import Resource
from datastore.resources import read
from datastore.store import Create, Store
from felixctl.ipam.records import IpamRecords
from tests.felixctl.golden import TextDates, printed, records


def store_all(path: Path, resources: Iterable[Resource]) -> None:
    async def work() -> None:
        store = datastore.open(f"sqlite://{path}/cluster.db")
        for resource in resources:
            await store.create(resource)
        await store.close()

    asyncio.run(work())


POOLS = [IPPool.read(record) for record in records("crs/ippools.yaml")]
BLOCKS = [IPAMBlock.read(record) for record in records("crs/ipamblocks.yaml")]
ENDPOINTS = [
    WorkloadEndpoint.read(item)
    for item in yaml.load(printed("cli/after-add-workloadendpoints.yaml"), Loader=TextDates)["items"]
]
AFFINITIES = [BlockAffinity.read(record) for record in records("crs/blockaffinities.yaml")]
CLUSTER = IpamRecords(
    blocks=BLOCKS,
    pools=POOLS,
    nodes=[Node.read(record) for record in records("crs/nodes.yaml")],
    endpoints=ENDPOINTS,
    handles=[IPAMHandle.read(record) for record in records("crs/ipamhandles.yaml")],
    affinities=AFFINITIES,
)
PATHS = ("ippools", "ipamblocks", "ipamhandles", "nodes", "blockaffinities", "clusterinformations")
DB_HANDLE = "k8s-pod-network.68150cfc45bd62a7a166bb670b0a71ae123ece23eecdfe60aaf0a84e0bcb703d"
DB = "node--3-k8s-db--1-eth0"


def calico_records() -> list[Resource]:
    return [read(record) for path in PATHS for record in records(f"crs/{path}.yaml")]


async def filled() -> Store:
    store = datastore.open("sqlite:///:memory:")
    await store.write(*(Create(one) for one in calico_records()), *(Create(endpoint) for endpoint in ENDPOINTS))
    return store


def garble(path: Path, kind: str, name: str, field: str) -> None:
    """Make a record unreadable, as another program may."""
    with sqlite3.connect(path / "cluster.db") as connection:
        connection.execute(
            "UPDATE object SET record = json_set(record, ?, 3) WHERE kind = ? AND name = ?", (field, kind, name)
        )
