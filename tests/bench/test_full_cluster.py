"""A cluster whose blocks are full: nothing in it disagrees, in a file and on a real API server."""

from __future__ import annotations

from pathlib import Path

import datastore
from bench import full_cluster
from datastore.store import Store
from felixctl.ipam.problems import problems
from felixctl.ipam.read_records import read_records
from tests.kube.bed import Bed


async def in_use(store: Store) -> int:
    """Return how many addresses are in use, where the records agree with that."""
    records = await read_records(store)
    await store.close()
    assert problems(records).count == 0
    assert len(records.allocations) == len(records.in_use) == len(records.handles)
    return len(records.in_use)


async def test_every_address_of_a_file_is_a_pods(tmp_path: Path) -> None:
    await full_cluster.write_file(tmp_path / "cluster.db", nodes=2)
    assert await in_use(datastore.open(f"sqlite://{tmp_path}/cluster.db")) == 2 * 256


async def test_every_address_of_an_api_server_is_a_pods(bed: Bed) -> None:
    await full_cluster.write_api(bed, nodes=1)
    assert await in_use(bed.open()) == 256
