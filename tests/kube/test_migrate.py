"""A cluster is taken along from SQLite to a real API server and back: nothing is lost, each address has its user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import datastore
from datastore.errors import DatastoreError
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Create
from felixctl.datastore.migrate import export_text, import_into
from felixctl.datastore.migration_file import Migration, read_migration
from felixctl.errors import CommandError
from tests.felixctl.command import Felixctl
from tests.felixctl.datastore.clusters import one_of_each
from tests.kube.bed import Bed
from tests.kube.faulty_proxy import faulty_proxy
from tests.kube.test_golden import pods


async def furnish(bed: Bed) -> None:
    """Make what Kubernetes makes: nodes without anything of Calico's, a namespace, pods."""
    await bed.empty()
    await bed.make_namespace("default")
    for one in one_of_each():
        if isinstance(one, Node):
            metadata = {"name": one.name, "labels": dict(one.metadata.labels)}
            record = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"podCIDR": one.spec.pod_cidr}}
            await bed.put(Node, json.dumps(record).encode())
    for pod in pods():
        await bed.put(WorkloadEndpoint, json.dumps(pod).encode(), "default")


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """A locked cluster with something of every kind."""
    url = f"sqlite://{tmp_path}/old.db"

    async def fill() -> None:
        store = datastore.open(url)
        await store.write(*map(Create, one_of_each()))
        await store.close()

    asyncio.run(fill())
    return url


@pytest.fixture
def kubernetes(started_bed: Bed) -> Iterator[str]:
    asyncio.run(furnish(started_bed))
    yield f"kubernetes://{started_bed.control_plane.kubeconfig}"
    asyncio.run(started_bed.empty())


def told(migration: Migration) -> dict[str, Any]:
    """Return what a file says of each object, but for what a Node has from its kubelet."""
    found = {str(one.key): one.written for one in migration.resources}
    for key, written in found.items():
        if written["kind"] == "Node":
            bgp = {k: v for k, v in written["spec"].items() if k not in ("addresses", "orchRefs")}
            found[key] = {"labels": written["metadata"]["labels"], "spec": bgp}
    return found


def test_from_sqlite_to_kubernetes_and_back_nothing_is_lost(
    sqlite: str, kubernetes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    felixctl = Felixctl(sqlite, monkeypatch, capsys)
    back = f"sqlite://{tmp_path}/new.db"
    first = felixctl("datastore", "migrate", "export")
    assert (first.status, first.err) == (0, "")
    there = felixctl("datastore", "migrate", "import", "-f", "-", "--datastore", kubernetes, stdin=first.out)
    assert (there.status, there.out.startswith("Successfully imported ")) == (0, True), there.err
    second = felixctl("datastore", "migrate", "export", "--datastore", kubernetes)
    home = felixctl("datastore", "migrate", "import", "-f", "-", "--datastore", back, stdin=second.out)
    assert (home.status, home.out.startswith("Successfully imported ")) == (0, True), home.err
    third = felixctl("datastore", "migrate", "export", "--datastore", back)
    one, two, three = (read_migration(ended.out, "f") for ended in (first, second, third))
    assert told(one) == told(two) == told(three)
    assert one.cluster == two.cluster == three.cluster
    assert one.ipam.records == two.ipam.records == three.ipam.records
    assert two.ipam.endpoints == three.ipam.endpoints, "on Kubernetes they are what its pods say"
    for url in (sqlite, kubernetes, back):
        assert "Check complete; found 0 problems." in felixctl("ipam", "check", "--datastore", url).out
        assert (
            felixctl("ipam", "show", "--show-blocks", "--datastore", url).out
            == felixctl("ipam", "show", "--show-blocks").out
        )
    again = felixctl("datastore", "migrate", "import", "-f", "-", "--datastore", kubernetes, stdin=first.out)
    assert again.out.startswith("All of it is there already")


async def of_sqlite() -> Migration:
    store = datastore.open("sqlite:///:memory:")
    await store.write(*map(Create, one_of_each()))
    text = await export_text(store)
    await store.close()
    return read_migration(text, "f")


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
async def test_an_import_is_completed_by_its_file_after_any_loss(bed: Bed, tmp_path: Path, lost: str) -> None:
    await furnish(bed)
    migration = await of_sqlite()
    async with faulty_proxy(bed.access(), tmp_path) as proxy:
        store = bed.open_by(proxy.access)
        passed = 0
        while True:
            proxy.faults.pass_answers = passed
            setattr(proxy.faults, lost, 1)
            try:
                await import_into(store, migration, on_kubernetes=True)
            except (DatastoreError, CommandError):
                passed += 5
            else:
                break
        assert passed >= 10, "it ended several times"
        found = read_migration(await export_text(store), "f")
        assert found.ipam.records == migration.ipam.records
        assert told(found) == told(migration)
        await store.close()
