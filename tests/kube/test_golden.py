"""What a real Calico wrote, in a real API server: accepted by our definitions, used, and printed as calicoctl did."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from datastore.kinds.ipam import IPAMBlock, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.client import ApiClient
from datastore.kube.folded_metadata import unfolded
from datastore.kube.paths import item
from datastore.kube.uids import mirrored
from datastore.names import ENCAPSULATED
from datastore.record import CRD
from datastore.resources import kind_named
from ipam.allocator import AddressesWanted, Allocator
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed, records
from tests.kube.bed import Bed

STORED = (
    *("bgpconfigurations", "bgppeers", "blockaffinities", "clusterinformations", "ipamblocks", "ipamconfigs"),
    *("ipamhandles", "ippools", "kubecontrollersconfigurations", "nodes"),
)
WRITTEN_BY_CALICO = (
    *("crs/bgppeers.yaml", "crs/blockaffinities.yaml", "crs/ipamblocks.yaml", "crs/ipamhandles.yaml"),
    *("startup/clusterinformations.yaml", "startup/felixconfigurations.yaml", "startup/ippools.yaml"),
)
SERVERS_OWN = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields")


def without_the_servers_own(record: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in record["metadata"].items() if key not in SERVERS_OWN}
    return {**record, "metadata": metadata}


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with `now` for the time in the annotation of libcalico's, where there is one."""
    found = without_the_servers_own(record)
    inner = json.loads(found["metadata"]["annotations"][ENCAPSULATED])
    inner["creationTimestamp"] = inner["creationTimestamp"] and "now"
    return {**found, "metadata": {**found["metadata"], "annotations": {ENCAPSULATED: inner}}}


def pods() -> list[dict[str, Any]]:
    """Return the pods whose endpoints calicoctl printed, as far as they say something about them."""
    found = []
    for endpoint in records("cli/after-add-workloadendpoints.yaml"):
        spec, addresses = endpoint["spec"], endpoint["spec"]["ipNetworks"]
        annotations = {
            "cni.projectcalico.org/containerID": spec["containerID"],
            "cni.projectcalico.org/podIP": addresses[0],
            "cni.projectcalico.org/podIPs": ",".join(addresses),
        }
        labels = {k: v for k, v in endpoint["metadata"]["labels"].items() if not k.startswith("projectcalico.org/")}
        metadata = {"name": spec["pod"], "namespace": "default", "labels": labels, "annotations": annotations}
        pod_spec = {
            "nodeName": spec["node"],
            "serviceAccountName": spec["serviceAccountName"],
            "automountServiceAccountToken": False,
            "containers": [{"name": "c", "image": "none"}],
        }
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec})
    return found


async def load(bed: Bed) -> None:
    """Put all of Calico's records into the API server, as Calico had them there."""
    await bed.make_namespace("default")
    for name in STORED:
        for record in records(f"crs/{name}.yaml"):
            kind = kind_named(record["kind"])
            await bed.put(kind, json.dumps(without_the_servers_own(record)).encode())
    for pod in pods():
        await bed.put(WorkloadEndpoint, json.dumps(pod).encode(), "default")


@pytest.fixture
async def loaded(bed: Bed) -> Bed:
    await load(bed)
    return bed


def custom_resources() -> Iterator[dict[str, Any]]:
    """Yield what is stored under its own kind: all but the nodes."""
    for name in STORED:
        yield from records(f"crs/{name}.yaml") if name != "nodes" else ()


async def test_what_was_loaded_is_read_back_as_it_was(loaded: Bed) -> None:
    store = loaded.open()
    for record in custom_resources():
        found = (await store.get(kind_named(record["kind"]), record["metadata"]["name"])).to_json()
        shown = {**record, "metadata": unfolded(record["metadata"])}
        assert without_the_servers_own(found) == without_the_servers_own(shown)
    await store.close()


async def test_what_is_written_back_unchanged_is_as_it_was(loaded: Bed) -> None:
    """To the last byte, so that the API server makes no new revision of it; what kubectl wrote is as Calico has it.

    Of a block the server is told to keep no note of who wrote which field, which is a revision the first time.
    """
    store, client = loaded.open(), ApiClient(loaded.access)
    for record in custom_resources():
        kind = kind_named(record["kind"])
        where = item(kind, CRD, record["metadata"]["name"])
        before = json.loads((await client.request("read", "GET", where)).body)
        await store.update(await store.get(kind, record["metadata"]["name"]))
        after = json.loads((await client.request("read", "GET", where)).body)
        if kind is IPAMBlock:
            assert "managedFields" not in after["metadata"]
            assert without_the_servers_own(after) == without_the_servers_own(before)
            await store.update(await store.get(kind, record["metadata"]["name"]))
            assert json.loads((await client.request("read", "GET", where)).body) == after
        elif ENCAPSULATED in record["metadata"].get("annotations", {}):
            assert after == before
        else:
            assert after["metadata"]["annotations"].keys() == {ENCAPSULATED}
    await client.close()
    await store.close()


@pytest.mark.parametrize("path", WRITTEN_BY_CALICO)
async def test_what_is_made_here_is_what_calico_makes(bed: Bed, path: str) -> None:
    """But for the time, which both write into the annotation where Calico does."""
    store, client = bed.open(), ApiClient(bed.access)
    for record in records(path):
        kind = kind_named(record["kind"])
        shown = without_the_servers_own({**record, "metadata": unfolded(record["metadata"])})
        await store.create(kind.read(shown))
        made = json.loads((await client.request("read", "GET", item(kind, CRD, record["metadata"]["name"]))).body)
        assert without_times(made) == without_times(record)
    await client.close()
    await store.close()


async def test_an_assignment_and_its_release_change_what_calicos_would(loaded: Bed) -> None:
    store = loaded.open()
    before = {block.name: block for block in (await store.list(IPAMBlock)).objects}
    handles = (await store.list(IPAMHandle)).objects
    allocator = Allocator(store)
    wanted = AddressesWanted(node="node-1", handle="k8s-pod-network.golden", attributes={"node": "node-1"}, ipv4=1)
    [address] = (await allocator.assign(wanted)).ipv4
    [changed] = [b for b in (await store.list(IPAMBlock)).objects if b.revision != before[b.name].revision]
    old, new = before[changed.name].to_json()["spec"], changed.to_json()["spec"]
    assert {key for key in new if new[key] != old.get(key)} == {
        *("allocations", "attributes", "sequenceNumber", "sequenceNumberForAllocation", "unallocated"),
    }
    assert new["attributes"][: len(old["attributes"])] == old["attributes"]
    assert await allocator.release_handle("k8s-pod-network.golden") == [address]
    after = await store.get(IPAMBlock, changed.name)
    assert after.spec.allocations == before[changed.name].spec.allocations
    assert after.spec.attributes == before[changed.name].spec.attributes
    assert (
        without_the_servers_own(after.to_json())["metadata"] == without_the_servers_own(changed.to_json())["metadata"]
    )
    assert [handle.to_json() for handle in (await store.list(IPAMHandle)).objects] == [h.to_json() for h in handles]
    await store.close()


async def test_nodes_are_read_as_calico_has_them(loaded: Bed) -> None:
    store = loaded.open()
    nodes = (await store.list(Node)).objects
    assert [str(node.ipv4) for node in nodes] == ["192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24"]
    await store.close()


PRINTED = {
    "get nodes": "cli/after-add-nodes.txt",
    "get nodes -o wide": "cli/after-add-nodes-wide.txt",
    "get workloadendpoints": "cli/after-add-workloadendpoints.txt",
    "get workloadendpoints -o wide": "cli/after-add-workloadendpoints-wide.txt",
    "get ippools -o wide": "cli/table-ippools-wide.txt",
    "get bgppeers": "cli/table-bgppeers.txt",
    "get bgpconfig": "cli/table-bgpconfig.txt",
    "get clusterinfo": "cli/table-clusterinfo.txt",
    "ipam show": "ipam/show.txt",
    "ipam show --show-blocks": "ipam/show-blocks.txt",
    "ipam show --ip=10.65.84.128": "ipam/show-ip.txt",
    "ipam check": "ipam/check.txt",
    "ipam check --show-all-ips": "ipam/check-all-ips.txt",
}
"""Commands, each with what calicoctl printed."""


def test_felixctl_prints_what_calicoctl_printed(
    started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(started_bed.empty())
    asyncio.run(load(started_bed))
    monkeypatch.setenv("KUBECONFIG", str(started_bed.control_plane.kubeconfig))
    felixctl = Felixctl("kubernetes://", monkeypatch, capsys)
    shown = {command: felixctl(*command.split()).out.split() for command in PRINTED}
    assert shown == {command: printed(path).split() for command, path in PRINTED.items()}


def test_the_pods_of_all_namespaces_are_printed_as_those_of_one(
    started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(started_bed.empty())
    asyncio.run(load(started_bed))
    monkeypatch.setenv("KUBECONFIG", str(started_bed.control_plane.kubeconfig))
    heading, *rows = Felixctl("kubernetes://", monkeypatch, capsys)("get", "wep", "-A").out.split("\n")
    golden = printed("cli/after-add-workloadendpoints.txt").split("\n")
    assert heading.split() == ["NAMESPACE", *golden[0].split()]
    assert [row.split() for row in rows if row] == [["default", *row.split()] for row in golden[1:] if row]


def test_felixctl_prints_the_yaml_and_the_uids_of_calicoctl(
    started_bed: Bed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def uid(kind: str, name: str) -> str:
        client = ApiClient(started_bed.access)
        found = json.loads((await client.request("read", "GET", item(kind_named(kind), CRD, name))).body)
        await client.close()
        return str(found["metadata"]["uid"])

    asyncio.run(started_bed.empty())
    asyncio.run(load(started_bed))
    monkeypatch.setenv("KUBECONFIG", str(started_bed.control_plane.kubeconfig))
    felixctl = Felixctl("kubernetes://", monkeypatch, capsys)
    for word in ("bgpconfig", "bgppeer", "clusterinfo", "ippool"):
        shown = yaml.safe_load(felixctl("get", word, "-o", "yaml").out)["items"]
        calicos = records(f"cli/get-{word}.yaml")
        assert list(map(without_the_servers_own, shown)) == list(map(without_the_servers_own, calicos))
        for one in shown:
            assert one["metadata"]["uid"] == mirrored(asyncio.run(uid(one["kind"], one["metadata"]["name"])))
