"""Records that a real Calico wrote, read and written back; and what a record may not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import Invalid
from datastore.kinds.bgp import BGPConfiguration, BGPFilter, BGPPeer
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import (
    IPPool,
    IPReservation,
    forbidden_changes,
    misfitting_blocks,
    overlap,
    overlapping_pools,
)
from datastore.record import Resource
from datastore.resources import KINDS, kind_named, read

CALICO = Path(__file__).parent.parent / "fixtures" / "calico"


def read_records() -> Iterator[Any]:
    """Every record of a kind we know in the files that Calico, or its command line, wrote."""
    for path in sorted(CALICO.glob("**/*.yaml")):
        text = path.read_text()
        for document in [] if "--- exit" in text else yaml.safe_load_all(text):
            listed = document.get("kind", "").endswith("List")
            for record in document["items"] if listed else [document]:
                kind = record.get("kind") or document["kind"].removesuffix("List")
                if kind != "Pod":
                    yield pytest.param(kind, record, id=f"{path.parent.name}/{path.stem}-{record['metadata']['name']}")


RECORDS = list(read_records())


@pytest.mark.parametrize(("kind", "record"), RECORDS)
def test_a_record_of_calico_is_written_back_unchanged(kind: str, record: dict[str, Any]) -> None:
    resource = kind_named(kind).read(record)
    assert resource.to_json() == record
    again = type(resource).read_text(resource.to_text())
    assert again == resource
    assert again.to_json() == record


@pytest.mark.parametrize(("kind", "record"), RECORDS)
def test_a_record_of_calico_has_no_field_we_would_call_a_slip(kind: str, record: dict[str, Any]) -> None:
    assert kind_named(kind).read(record).unknown_fields() == []


def test_every_kind_of_the_records_is_known() -> None:
    assert {kind_named(parameters.values[0]) for parameters in RECORDS} <= set(KINDS.values())


def test_the_other_name_of_a_kind_is_kept_as_written() -> None:
    record = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "IPAMConfiguration",
        "metadata": {"name": "default"},
        "spec": {"strictAffinity": False, "autoAllocateBlocks": True},
    }
    config = read(record)
    assert isinstance(config, IPAMConfig)
    assert config.to_json() == record


def test_unknown_fields_are_kept_and_told() -> None:
    record = {"kind": "IPPool", "metadata": {"name": "p", "x": 1}, "spec": {"cidr": "10.0.0.0/16", "blocksize": 28}}
    pool = read(record)
    assert pool.to_json() == record
    assert pool.unknown_fields() == ["spec.blocksize"]


def test_defaults_are_answered_and_not_written() -> None:
    pool = IPPool.make("p", cidr="fd00::/64")
    assert (pool.block_size, pool.spec.node_selector, pool.spec.allowed_uses) == (122, "all()", ("Workload", "Tunnel"))
    assert pool.to_json()["spec"] == {"cidr": "fd00::/64"}
    assert BGPConfiguration.make("default").as_number == 64512


def test_make_takes_fields_by_either_name_and_no_others() -> None:
    assert IPPool.make("p", cidr="10.0.0.0/16", block_size=28) == IPPool.make("p", cidr="10.0.0.0/16", blockSize=28)
    with pytest.raises(TypeError, match="blocksize"):
        IPPool.make("p", cidr="10.0.0.0/16", blocksize=28)


def test_a_change_of_a_field_leaves_all_else_and_none_leaves_it_out() -> None:
    block = IPAMBlock.read(next(p.values[1] for p in RECORDS if p.values[0] == "IPAMBlock"))
    changed = block.with_spec(affinity=None, sequence_number=7)
    assert "affinity" not in changed.to_json()["spec"]
    assert changed.spec.affinity is None
    assert changed.with_spec(affinity=block.spec.affinity, sequence_number=block.spec.sequence_number) == block
    pool = IPPool.make("p", cidr="10.0.0.0/16", natOutgoing=True)
    assert pool.with_spec(nat_outgoing=None).spec.nat_outgoing is False


def test_a_resource_cannot_be_changed_in_place() -> None:
    pool = IPPool.make("p", cidr="10.0.0.0/16")
    with pytest.raises(ValueError, match="frozen"):
        pool.spec.disabled = True


def test_labels_in_the_annotation_of_libcalico_win_over_the_objects_own() -> None:
    inside = (
        '{"labels":{"a":"inside","b":"2"},"annotations":{"note":"kept"},"creationTimestamp":"2026-01-02T03:04:05Z"}'
    )
    pool = IPPool.read(
        {
            "metadata": {
                "name": "p",
                "labels": {"a": "own", "c": "3"},
                "annotations": {"projectcalico.org/metadata": inside},
                "creationTimestamp": "2026-11-22T20:18:32Z",
            },
            "spec": {"cidr": "10.0.0.0/16"},
        }
    )
    assert pool.labels == {"a": "inside", "b": "2", "c": "3"}
    assert pool.annotations == {"note": "kept"}
    assert pool.created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("broken", ["", "{", "[]", "null", '{"labels": 3, "annotations": null}'])
def test_an_annotation_that_makes_no_sense_counts_as_absent(broken: str) -> None:
    pool = IPPool.make("p", labels={"a": "b"}, annotations={"projectcalico.org/metadata": broken}, cidr="10.0.0.0/16")
    assert (pool.labels, pool.annotations, pool.created) == ({"a": "b"}, {}, None)


def node(**annotations: str) -> Node:
    return Node.make("n1", annotations={f"projectcalico.org/{key}": value for key, value in annotations.items()})


def test_a_node_is_read_from_its_annotations() -> None:
    full = node(
        IPv4Address="192.0.2.1/24",
        IPv6Address="2001:db8::1/64",
        ASNumber="1.10",
        RouteReflectorClusterID="244.0.0.1",
        IPv4IPIPTunnelAddr="10.65.0.1",
        IPv6VXLANTunnelAddr="fd00::1",
        labels='{"calico-only":"yes","rack":"calico"}',
    ).with_metadata(labels={"rack": "kubernetes"})
    assert str(full.ipv4) == "192.0.2.1/24"
    assert str(full.ipv6) == "2001:db8::1/64"
    assert full.as_number == 65546
    assert str(full.cluster_id) == "244.0.0.1"
    assert str(full.tunnel_address("ipip")) == "10.65.0.1"
    assert str(full.tunnel_address("vxlan-v6")) == "fd00::1"
    assert full.tunnel_address("vxlan") is None
    assert full.labels == {"calico-only": "yes", "rack": "kubernetes"}


def test_a_value_of_a_node_that_makes_no_sense_counts_as_absent() -> None:
    broken = node(
        IPv4Address="2001:db8::1/64", IPv6Address="nowhere", ASNumber="-1", RouteReflectorClusterID="fd00::1",
        IPv4IPIPTunnelAddr="fd00::1", labels="[]",
    )  # fmt: skip
    assert (broken.ipv4, broken.ipv6, broken.as_number, broken.cluster_id) == (None, None, None, None)
    assert (broken.tunnel_address("ipip"), broken.labels) == (None, {})


def test_an_empty_value_removes_the_annotation_of_a_node() -> None:
    changed = node(IPv4Address="192.0.2.1/24", ASNumber="64513").with_data(ASNumber="", IPv6Address="2001:db8::1/64")
    assert changed.metadata.annotations == {
        "projectcalico.org/IPv4Address": "192.0.2.1/24",
        "projectcalico.org/IPv6Address": "2001:db8::1/64",
    }


def test_a_node_as_calicoctl_prints_it_is_read_too() -> None:
    text = (CALICO / "cli" / "get-node-with-tunnel-address.yaml").read_text()
    printed = Node.read(yaml.safe_load(text))
    assert str(printed.ipv4) == "192.0.2.2/24"
    assert str(printed.tunnel_address("ipip")) == "10.65.247.0"


def test_addresses_of_an_endpoint_are_read_without_their_length() -> None:
    endpoint = WorkloadEndpoint.make("w", "ns", node="n1", ip_networks=["10.0.0.7/32", "fd00::7/128"])
    assert list(map(str, endpoint.addresses)) == ["10.0.0.7", "fd00::7"]


def test_the_port_of_a_peer_stands_behind_its_address() -> None:
    for text, address, port in (
        ("192.0.2.9", "192.0.2.9", None),
        ("192.0.2.9:1179", "192.0.2.9", 1179),
        ("fd00::9", "fd00::9", None),
        ("[fd00::9]:1179", "fd00::9", 1179),
    ):
        peer = BGPPeer.make("p", peer_ip=text, as_number=64513)
        assert (str(peer.address), peer.port) == (address, port)


def test_durations_are_read_in_gos_way() -> None:
    peer = BGPPeer.make("p", max_restart_time="1m30.5s")
    assert peer.restart_seconds == 90.5


REFUSED = [
    (lambda: IPPool.make("p", cidr="10.0.0.1/16"), 'spec.cidr "10.0.0.1/16" has bits set beyond its length'),
    (lambda: IPPool.make("p", cidr="pods"), 'spec.cidr "pods" is not a CIDR'),
    (lambda: IPPool.make("p"), "spec.cidr is required"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/28"), "cidr 10.0.0.0/28 is smaller than one block of /26"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", block_size=19), "blockSize 19 is not between 20 and 32"),
    (lambda: IPPool.make("p", cidr="fd00::/64", block_size=26), "blockSize 26 is not between 116 and 128"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", ipip_mode="always"), 'spec.ipipMode "always" is not'),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", ipip_mode="Always", vxlan_mode="Always"), "exclude each other"),
    (lambda: IPPool.make("p", cidr="fd00::/64", ipip_mode="Always"), "IPv4 only"),
    (lambda: IPPool.make("p", cidr="169.254.0.0/20"), "link-local"),
    (lambda: IPPool.make("p", cidr="fe80::/64"), "link-local"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", node_selector="rack b"), "spec.nodeSelector selector 'rack b'"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", node_selector="global()"), "must not use global()"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", namespace_selector="all()"), "namespaceSelector is not allowed"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", allowed_uses=["LoadBalancer", "Tunnel"]), "can't be combined"),
    (lambda: IPPool.make("p", cidr="10.0.0.0/16", natOutgoing="yes"), 'spec.natOutgoing "yes"'),
    (lambda: IPPool.make("Pods", cidr="10.0.0.0/16"), 'metadata.name "Pods" is not a name'),
    (lambda: IPReservation.make("r", reserved_cidrs=["10.0.0.0/33"]), 'spec.reservedCIDRs[0] "10.0.0.0/33"'),
    (lambda: BGPConfiguration.make("default", as_number=4294967296), "is not an AS number"),
    (lambda: BGPConfiguration.make("default", listen_port=0), "spec.listenPort 0 is less than 1"),
    (lambda: BGPPeer.make("p", as_number=1.1), "spec.asNumber 1.1 is a decimal number"),
    (lambda: BGPPeer.make("p", filters="gold"), 'spec.filters "gold" is not a list'),
    (lambda: BGPPeer.make("p", node=3), "spec.node 3 is not a text"),
    (lambda: BGPConfiguration.make("node.n1", as_number=64513), 'spec.asNumber is only honoured on "default"'),
    (lambda: BGPConfiguration.make("default", communities=[{"name": "a", "value": "1:2"}]), "prefixAdvertisements"),
    (
        lambda: BGPConfiguration.make(
            "default", prefix_advertisements=[{"cidr": "10.0.0.0/16", "communities": ["gold"]}]
        ),
        'community "gold" is neither',
    ),
    (
        lambda: BGPConfiguration.make(
            "default", nodeToNodeMeshEnabled=False, nodeMeshMaxRestartTime="60s"
        ),
        "nodeMeshMaxRestartTime has no use",
    ),
    (lambda: BGPPeer.make("rack1", peer_ip="10.0.0.999"), 'BGPPeer "rack1": spec.peerIP "10.0.0.999" is not an IP'),
    (lambda: BGPPeer.make("p", peer_ip="10.0.0.9:99999"), "no port between 1 and 65535"),
    (lambda: BGPPeer.make("p", node="n1", node_selector="all()"), "node and nodeSelector exclude each other"),
    (lambda: BGPPeer.make("p", peer_selector="all()", as_number=1), "peerSelector and asNumber exclude"),
    (lambda: BGPPeer.make("p", reachable_by="192.0.2.1"), "reachableBy needs peerIP"),
    (lambda: BGPPeer.make("p", max_restart_time="90"), 'spec.maxRestartTime "90" is not a duration'),
    (lambda: BGPFilter.make("f", exportV4=[{}]), "spec.exportV4[0].action is required"),
    (lambda: BGPFilter.make("f", exportV4=[{"action": "Accept", "cidr": "10.0.0.0/8"}]), "each needs the other"),
    (
        lambda: BGPFilter.make("f", exportV6=[{"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In"}]),
        "spec.exportV6[0].cidr 10.0.0.0/8 is not an IPv6 network",
    ),
    (lambda: BGPFilter.make("f", importV4=[{"action": "Accept", "operations": [{}]}]), "operations[0] is not exactly"),
    (lambda: IPAMConfig.make("default", strict_affinity=False, auto_allocate_blocks=False), "needs strictAffinity"),
    (
        lambda: IPAMConfig.make("default", strict_affinity=False, auto_allocate_blocks=True, max_blocks_per_host=2),
        "maxBlocksPerHost 2 needs strictAffinity",
    ),
    (
        lambda: BlockAffinity.make("a", state="confirmed", node="n", cidr="10.0.0.0/26", deleted=False),
        "spec.deleted false is not 'true' or 'false'",
    ),
    (lambda: BlockAffinity.make("a", state="confirmed", node="n", cidr="10.0.0.0/26"), "spec.deleted is required"),
    (
        lambda: IPAMBlock.make(
            "b", cidr="10.0.0.0/30", allocations=[None], unallocated=[], attributes=[], strict_affinity=False
        ),
        "allocations has 1 slots, and 10.0.0.0/30 4 addresses",
    ),
    (lambda: IPAMHandle.make("h", handle_id="h", block=[]), "spec.block []"),
    (lambda: ClusterInformation.make("default", datastoreReady="true"), 'spec.datastoreReady "true"'),
    (lambda: WorkloadEndpoint.make("w", node="n1"), "metadata.namespace is required"),
    (lambda: WorkloadEndpoint.make("w", "ns", node="n1", ip_networks=["10.0.0.0/24"]), "is not one address"),
    (lambda: read({"kind": "IPPoool", "metadata": {"name": "p"}}), 'kind "IPPoool" is not known'),
    (lambda: read({"metadata": {"name": "p"}}), "it has no kind"),
    (lambda: read(["IPPool"]), "not a mapping but list"),
    (lambda: read({"kind": "IPPool", "metadata": [], "spec": 3}), "metadata is not a mapping; spec is not a mapping"),
    (lambda: read({"kind": "IPPool", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16"}}),
     'apiVersion "v1" is not known'),
    (lambda: IPPool.read({"kind": "Node", "metadata": {"name": "p"}, "spec": {"cidr": "10.0.0.0/16"}}),
     'kind "Node" is not IPPool'),
    (lambda: IPPool.read_text("{"), "its text is not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("making", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_makes_no_sense_is_refused_with_object_and_field(making: Callable[[], Resource], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        making()
    assert sentence in str(refused.value)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        IPPool.make("p", cidr="x", ipip_mode="y")
    assert str(refused.value).startswith('IPPool "p": spec.cidr "x" is not a CIDR')
    assert "; spec.ipipMode" in str(refused.value)


def test_a_pool_says_which_nodes_and_namespaces_it_is_for() -> None:
    pool = IPPool.make(
        "p", cidr="10.0.0.0/16", node_selector="rack == 'a'", namespace_selector="has(red)", allowed_uses=["Workload"]
    )
    assert pool.selects_node({"rack": "a"}) and not pool.selects_node({})
    assert pool.selects_namespace({"red": ""}) and not pool.selects_namespace({})
    assert IPPool.make("p", cidr="10.0.0.0/16", node_selector="").selects_node({})


def test_a_pool_that_is_disabled_refused_or_leaving_gives_no_addresses() -> None:
    record = IPPool.make("p", cidr="10.0.0.0/16").to_json()
    refused = {**record, "status": {"conditions": [{"type": "Allocatable", "status": "False"}]}}
    assert IPPool.read(record).allocatable
    assert not IPPool.read(refused).allocatable
    assert not IPPool.make("p", cidr="10.0.0.0/16", disabled=True).allocatable
    assert not IPPool.read(record).with_metadata(deletion_timestamp="2026-11-22T20:18:32Z").allocatable


def test_overlapping_pools_are_named_in_pairs() -> None:
    pools = [
        IPPool.make(name, cidr=cidr)
        for name, cidr in (
            ("wide", "10.0.0.0/8"), ("apart", "11.0.0.0/16"), ("inner", "10.1.0.0/16"), ("six", "fd00::/48"),
            ("innermost", "10.1.2.0/24"),
        )
    ]  # fmt: skip
    assert list(overlapping_pools(pools)) == [
        'IPPool "inner": cidr 10.1.0.0/16 overlaps 10.0.0.0/8 of IPPool "wide"',
        'IPPool "innermost": cidr 10.1.2.0/24 overlaps 10.0.0.0/8 of IPPool "wide"',
        'IPPool "innermost": cidr 10.1.2.0/24 overlaps 10.1.0.0/16 of IPPool "inner"',
    ]


cidrs = st.builds(
    lambda number, length: str(ip_network((number >> (32 - length) << (32 - length), length))),
    st.integers(10 << 24, (10 << 24) + (1 << 14) - 1),
    st.integers(20, 26),
)


@given(st.lists(cidrs, max_size=8))
def test_every_two_overlapping_pools_are_found(networks: list[str]) -> None:
    pools = [IPPool.make(f"p{n}", cidr=cidr) for n, cidr in enumerate(networks)]
    pairs = sum(overlap(one.network, other.network) for one, other in combinations(pools, 2))
    assert len(list(overlapping_pools(pools))) == pairs


def test_cidr_and_block_size_of_a_pool_cannot_change() -> None:
    old = IPPool.make("p", cidr="10.0.0.0/16")
    assert list(forbidden_changes(old, IPPool.make("p", cidr="10.0.0.0/16", block_size=26, disabled=True))) == []
    sentences = list(forbidden_changes(old, IPPool.make("p", cidr="10.1.0.0/16", block_size=28)))
    assert ["cidr can't change" in sentences[0], "blockSize can't change from 26 to 28" in sentences[1]] == [True, True]


def test_a_pool_over_blocks_of_another_size_is_objected_to() -> None:
    pool = IPPool.make("p", cidr="10.0.0.0/16", block_size=28)
    blocks = [ip_network(text) for text in ("10.0.0.0/26", "10.0.1.0/28", "10.1.0.0/26")]
    (sentence,) = misfitting_blocks(pool, blocks)
    assert "holds block 10.0.0.0/26 already, which is not a /28" in sentence


def test_an_address_with_a_zone_index_is_refused() -> None:
    with pytest.raises(Invalid, match="zone index"):
        WorkloadEndpoint.make("n1-k8s-web-eth0", namespace="default", node="n1", ipNetworks=["fe80::1%eth0/128"])
