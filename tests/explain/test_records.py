"""The datastore's resources as records."""

from __future__ import annotations

from msgspec.structs import replace

from datastore.kinds.bgp import BGPConfiguration
from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from explain.records import Assigned, PodRecord, cluster_records
from net.prefix import Prefix

V3 = "projectcalico.org/v3"
ENDPOINT = WorkloadEndpoint.model_validate(
    {
        "apiVersion": V3,
        "kind": "WorkloadEndpoint",
        "metadata": {"name": "n1-k8s-a-eth0", "namespace": "default"},
        "spec": {
            "orchestrator": "k8s",
            "node": "n1",
            "pod": "a",
            "endpoint": "eth0",
            "interfaceName": "cali1",
            "ipNetworks": ["10.65.1.1/32"],
        },
    }
)
BLOCK = IPAMBlock.model_validate(
    {
        "apiVersion": V3,
        "kind": "IPAMBlock",
        "metadata": {"name": "10-65-1-0-30"},
        "spec": {
            "cidr": "10.65.1.0/30",
            "affinity": "host:n1",
            "strictAffinity": False,
            "deleted": False,
            "allocations": [None, 0, 1, None],
            "unallocated": [0, 3],
            "attributes": [
                {"handle_id": "h1", "secondary": {"namespace": "default", "pod": "a", "node": "n1"}},
                {"handle_id": "t1", "secondary": {"type": "ipipTunnelAddress", "node": "n1"}},
            ],
        },
    }
)


def affinity(state: str) -> BlockAffinity:
    spec = {"cidr": "10.65.1.0/30", "node": "n1", "state": state, "deleted": "false"}
    return BlockAffinity.model_validate(
        {"apiVersion": V3, "kind": "BlockAffinity", "metadata": {"name": "n1-10-65-1-0-30"}, "spec": spec}
    )


def test_resources_become_records() -> None:
    pool = {"apiVersion": V3, "kind": "IPPool", "metadata": {"name": "pods"}}
    node = {
        "apiVersion": V3,
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {"bgp": {"ipv4Address": "192.0.2.1/24"}},
    }
    records = cluster_records(
        [ENDPOINT],
        [BLOCK],
        [affinity("confirmed")],
        [
            IPPool.model_validate(
                {**pool, "spec": {"cidr": "10.65.0.0/16", "disableBGPExport": True, "ipipMode": "Always"}}
            )
        ],
        [Node.model_validate(node)],
        [],
    )
    assert records.pods == (PodRecord("default", "a", "n1", "cali1", ("10.65.1.1",)),)
    assert records.nodes == {"n1": ("192.0.2.1",)}
    assert not records.pools[0].exported
    assert records.pools[0].tunnelled
    (block,) = records.blocks
    assert (block.prefix, block.owner, block.confirmed) == (Prefix.parse("10.65.1.0/30"), "n1", True)
    assert block.assigned == {"10.65.1.1": Assigned("h1", "default/a"), "10.65.1.2": Assigned("t1", tunnel_of="n1")}


def test_a_pending_affinity_confirms_no_block() -> None:
    assert not cluster_records([], [BLOCK], [affinity("pending")], [], [], []).blocks[0].confirmed


def test_the_default_configuration_turns_the_mesh_off() -> None:
    spec = {"nodeToNodeMeshEnabled": False}
    configuration = BGPConfiguration.model_validate(
        {"apiVersion": V3, "kind": "BGPConfiguration", "metadata": {"name": "default"}, "spec": spec}
    )
    assert cluster_records([], [], [], [], [], []).mesh
    assert not cluster_records([], [], [], [], [], [configuration]).mesh


def test_an_address_is_found_by_whoever_has_it() -> None:
    records = cluster_records([ENDPOINT], [BLOCK], [], [], [], [])
    assert records.pod_of("10.65.1.1") and not records.pod_of("10.65.1.3")
    assert records.block_of("10.65.1.3") and not records.block_of("10.65.1.4")
    assert records.node_of("192.0.2.1") is None and records.pool_of("10.65.1.1") is None


def test_a_pod_is_the_same_whatever_its_annotations() -> None:
    plain = PodRecord("default", "a", "n1", "cali1", ("10.65.1.1",))
    noted = replace(plain, annotations={"note": "new"})
    assert {plain, noted} == {plain}
    assert plain != replace(plain, device="cali2")
