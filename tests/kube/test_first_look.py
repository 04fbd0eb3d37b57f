"""A check's first look at an API server: it sees what the store sees, and leaves to it what is odd or amiss."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kube.client import MERGE_PATCH, ApiClient
from datastore.kube.paths import CORE, item
from datastore.kube.pods import ALLOWED_SOURCES
from datastore.record import CRD, Resource
from datastore.store import Store
from felixctl.ipam import check, store_check
from felixctl.ipam import read_api as read_api_module
from felixctl.ipam.ask_api import ask_api
from felixctl.ipam.check_report import report
from felixctl.ipam.problems import problems
from felixctl.ipam.read_api import Cluster, read_api
from felixctl.ipam.read_records import read_records
from felixctl.ipam.records import IpamRecords
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.damages import DAMAGES, Damage, delete_node, forget_node
from tests.kube.bed import Bed
from tests.kube.test_golden import load

NAMESPACE = "kube-system"
LINES = [("ipam", "check", *options) for options in ((), ("--show-all-ips",), ("--fix", "--yes"))]
UNNEEDED = ("asyncio", "pydantic", "h2", "kubernetes", "typer", "rich", "yaml", "dataclasses", "inspect")


def first_seen(bed: Bed) -> Cluster | None:
    """Return what a first look reads."""
    asking = ask_api(f"kubernetes://{bed.control_plane.kubeconfig}", NAMESPACE)
    assert asking
    return read_api(asking, NAMESPACE, 0.0)


async def by_store(bed: Bed) -> IpamRecords:
    store = bed.open()
    try:
        return await read_records(store)
    finally:
        await store.close()


async def patch(bed: Bed, kind: type[Resource], name: str, change: Mapping[str, Any]) -> None:
    """Change an object as kubectl does; a pod is one of the namespace default."""
    client, path = ApiClient(bed.access), item(kind, CRD, name, "default" if kind is WorkloadEndpoint else None)
    await client.request(f"patch {name}", "PATCH", path, json.dumps(change).encode(), MERGE_PATCH)
    await client.close()


@pytest.fixture
async def loaded(bed: Bed) -> Bed:
    """A cluster whose records are Calico's, with nothing wrong."""
    await load(bed)
    return bed


@pytest.fixture
def felixctl(started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Felixctl:
    """The command, for a cluster whose records are Calico's."""
    asyncio.run(started_bed.empty())
    asyncio.run(load(started_bed))
    for seconds in ("RECHECK_SECONDS", "NODE_RETURN_SECONDS"):
        monkeypatch.setattr(store_check, seconds, 0)
    return Felixctl(f"kubernetes://{started_bed.control_plane.kubeconfig}", monkeypatch, capsys)


async def test_of_calicos_records_both_make_the_same(loaded: Bed) -> None:
    seen, full = first_seen(loaded), await by_store(loaded)
    assert seen
    found = seen.records
    assert [*found.blocks] == [*full.blocks]
    assert sorted(found.handles, key=lambda one: one.name) == [*full.handles]
    assert sorted(found.endpoints, key=lambda one: (one.namespace, one.name)) == [*full.endpoints]
    assert [one.name for one in found.pools] == [one.name for one in full.pools]
    assert [one.name for one in found.nodes] == [one.name for one in full.nodes]
    affinities = [{one.name: one.metadata.labels for one in records.affinities} for records in (found, full)]
    assert affinities[0] == affinities[1] != {}
    assert (found.tunnels, found.assigned, found.leaks) == (full.tunnels, full.assigned, full.leaks)
    for everything in (False, True):
        texts = [report(one, problems(one), all_addresses=everything) for one in (found, full)]
        assert texts[0] == texts[1]


ON_KUBERNETES = list(dict.fromkeys(damage for damage, *_ in DAMAGES if damage not in (forget_node, delete_node)))
"""Those that a store can do there: a Node is the kubelet's."""


@pytest.mark.parametrize("damage", ON_KUBERNETES)
async def test_what_is_amiss_for_the_store_is_amiss_at_first_sight(loaded: Bed, damage: Damage) -> None:
    store: Store = loaded.open()
    await damage(store)
    await store.close()
    found, full = first_seen(loaded), problems(await by_store(loaded))
    assert full.count and (found is None or problems(found.records) == full)


async def test_a_node_that_is_gone_is_missed_at_first_sight(loaded: Bed) -> None:
    client = ApiClient(loaded.access)
    await client.request("delete", "DELETE", item(Node, CORE, "node-3"))
    await client.close()
    found, full = first_seen(loaded), problems(await by_store(loaded))
    assert found and full.endpoints and problems(found.records) == full


ODD: list[tuple[type[Resource], str, Mapping[str, Any]]] = [
    (WorkloadEndpoint, "db-1", {"metadata": {"annotations": {ALLOWED_SOURCES: "[]"}}}),
    (IPPool, "default-ipv4-ippool", {"spec": {"nodeSelector": "has(rack)"}}),
    (IPAMBlock, "10-65-77-0-26", {"spec": {"allocations": []}}),
    (
        IPAMHandle,
        "k8s-pod-network.68150cfc45bd62a7a166bb670b0a71ae123ece23eecdfe60aaf0a84e0bcb703d",
        {"spec": {"deleted": True}},
    ),
]


@pytest.mark.parametrize(("kind", "name", "change"), ODD)
async def test_where_one_is_odd_the_store_is_asked(
    loaded: Bed, kind: type[Resource], name: str, change: Mapping[str, Any]
) -> None:
    assert first_seen(loaded)
    await patch(loaded, kind, name, change)
    assert first_seen(loaded) is None


def test_a_sound_cluster_is_looked_at_once_and_the_store_would_say_the_same(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(check, "ask_api", lambda url, namespace: None)
        full = [felixctl(*line) for line in LINES]
    monkeypatch.setattr(store_check, "store_checks_out", None)
    assert [felixctl(*line) for line in LINES] == full
    assert all(ended.status == 0 and ended.out for ended in full)
    assert all("No controller acts: there is no Lease kube-system/felix-py-controller" in one.err for one in full)


def test_of_a_cluster_with_a_problem_or_an_odd_record_the_store_says_all(
    felixctl: Felixctl, started_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(patch(started_bed, *ODD[2]))
    ended = felixctl("ipam", "check")
    assert (ended.status, 'IPAMBlock "10-65-77-0-26"' in ended.out) == (1, True)
    monkeypatch.setattr(check, "ask_api", lambda url, namespace: None)
    assert felixctl("ipam", "check") == ended


def test_who_acts_is_asked_of_the_store_where_one_look_cannot_tell(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = felixctl("ipam", "check")
    monkeypatch.setattr(read_api_module, "leader_told", lambda *answer: None)
    monkeypatch.setattr(store_check, "store_checks_out", None)
    assert felixctl("ipam", "check") == ended


def test_who_may_read_nothing_is_told_so_by_the_store(
    started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer = started_bed.control_plane.kubeconfig_of("felix-py-status")
    ended = Felixctl(f"kubernetes://{viewer}", monkeypatch, capsys)("ipam", "check")
    assert ended.status == 1 and "the role of this account lacks it (403)" in ended.err


def test_a_check_of_a_sound_cluster_imports_nothing_that_it_does_not_need(felixctl: Felixctl, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom felixctl import __main__ as program\nprogram.end_at_once = sys.exit\n"
        "sys.argv = ['felixctl', 'ipam', 'check']\n"
        "try: program.main()\n"
        "except SystemExit as end: print('ended:', end.code)\n"
        f"print('loaded:', *(name for name in {UNNEEDED} if name in sys.modules))"
    )
    names = ("PATH", "FELIX_DATASTORE")
    environment = {name: os.environ[name] for name in names} | {"FELIX_RUN_DIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-2:] == ["ended: 0", "loaded:"]
