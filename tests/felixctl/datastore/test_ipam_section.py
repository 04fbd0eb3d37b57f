"""IPAM's records in an export: as Calico's backend keeps them, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from datastore.resources import read
from felixctl.datastore.ipam_section import IpamState, portable, read_section, section
from felixctl.errors import RejectedError
from felixctl.resources import view
from tests.felixctl.golden import records
from tests.felixctl.ipam.cluster import AFFINITIES, BLOCKS, ENDPOINTS

STATE = IpamState(
    tuple(BLOCKS),
    tuple(AFFINITIES),
    tuple(IPAMHandle.read(record) for record in records("crs/ipamhandles.yaml")),
    IPAMConfig.read(records("crs/ipamconfigs.yaml")[0]),
    tuple(ENDPOINTS),
)


def again(state: IpamState) -> IpamState:
    return read_section(json.loads(json.dumps(section(state))))


def test_calicos_records_are_read_back_as_they_were() -> None:
    found = again(STATE)
    for before, after in zip(STATE.records, found.records, strict=True):
        assert portable(view.of(after)) == portable(view.of(before))
    assert [one.to_json() for one in found.endpoints] == [portable(view.of(one)) for one in ENDPOINTS]


def test_unknown_fields_labels_and_odd_names_are_read_back() -> None:
    record = records("crs/ipamblocks.yaml")[0]
    metadata = {"name": "an-old-name", "labels": {"a": "b"}, "annotations": {"c": "d"}}
    odd = read({**record, "metadata": metadata, "spec": {**record["spec"], "tomorrow": [None, {"z": 1}]}})
    assert isinstance(odd, IPAMBlock)
    [found] = again(IpamState((odd,))).blocks
    assert found.to_json() == odd.to_json()


def test_the_values_are_those_of_calicos_backend() -> None:
    written = section(STATE)
    [block, *_], [affinity, *_], [handle, *_] = written["blocks"], written["block_affinities"], written["handles"]
    assert block["Key"] == "/calico/ipam/v2/assignment/ipv4/block/10.65.247.0-26"
    assert affinity["Key"] == "/calico/ipam/v2/host/node-1/ipv4/block/10.65.84.128-26"
    assert (affinity["Value"]["state"], affinity["Value"]["deleted"]) == ("confirmed", False), "a boolean, as in etcd"
    assert handle["Key"] == "/calico/ipam/v2/handle/ipip-tunnel-addr-node-2"
    assert written["config"]["Value"] == {"strict_affinity": False, "auto_allocate_blocks": True}


ETCD: dict[str, Any] = {
    "block_affinities": [
        {
            "Key": "/calico/ipam/v2/host/n1/ipv6/block/fd00:1::-122",
            "Value": {"state": "confirmed", "deleted": False},
            "TTL": 0,
        },
        {"Key": "/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.1.0.64-26", "Value": {"state": "confirmed"}},
    ],
    "blocks": [
        {
            "Key": "/calico/ipam/v2/assignment/ipv4/block/10.1.0.0-30",
            "Value": {
                "cidr": "10.1.0.0/30",
                "affinity": "host:n1",
                "allocations": [0, None, None, None],
                "unallocated": [1, 2, 3],
                "attributes": [{"handle_id": "K8s-pod.Ab", "secondary": None}],
                "sequenceNumber": 18446744073709551615,
                "sequenceNumberForAllocation": None,
                "deleted": False,
            },
            "TTL": 0,
        },
        {
            "Key": "/calico/ipam/v2/assignment/ipv4/block/10.1.0.4-32",
            "Value": {
                "hostAffinity": "n2",
                "affinity": None,
                "allocations": [None],
                "unallocated": [0],
                "attributes": None,
            },
        },
    ],
    "handles": [{"Key": "/calico/ipam/v2/handle/K8s-pod.Ab", "Value": {"block": {"10.1.0.0/30": 1}, "deleted": False}}],
    "config": {"Key": "/calico/ipam/v2/config", "Value": {"strict_affinity": True}, "TTL": 0},
}
"""What calicoctl exports of an etcd datastore."""


def test_what_calicoctl_exports_of_etcd_becomes_our_records() -> None:
    found = read_section(ETCD)
    [six, virtual] = found.affinities
    assert (six.name, six.spec.node, six.spec.cidr, six.spec.deleted) == (
        "n1-fd00-1---122",
        "n1",
        "fd00:1::/122",
        "false",
    )
    assert six.labels["projectcalico.org/ip-version"] == "6", "its own host finds it by its labels"
    assert (virtual.spec.type, virtual.labels["projectcalico.org/affinity-type"]) == ("virtual", "virtual")
    [block, old] = found.blocks
    assert (block.name, block.spec.affinity, block.spec.sequence_number) == ("10-1-0-0-30", "host:n1", 2**64 - 1)
    assert (block.spec.attributes[0].handle_id, block.spec.strict_affinity) == ("K8s-pod.Ab", False)
    assert (old.spec.affinity, old.spec.attributes) == ("host:n2", ())
    [handle] = found.handles
    assert (handle.name, handle.spec.handle_id) == ("k8s-pod.ab", "K8s-pod.Ab")
    assert found.config is not None
    assert (found.config.spec.strict_affinity, found.config.spec.auto_allocate_blocks) == (True, False)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "it is no JSON object"),
        ({"blocks": {}}, "blocks is no list"),
        ({"blocks": [3]}, "blocks, number 1"),
        ({"blocks": [{"Key": "/calico/ipam/v2/handle/x", "Value": {}}]}, "is no key of Calico's"),
        ({"blocks": [{"Key": "/calico/ipam/v2/assignment/ipv4/block/10.1.0.0-40", "Value": {}}]}, "is not a CIDR"),
        ({"handles": [ETCD["handles"][0], ETCD["handles"][0]]}, 'IPAMHandle "k8s-pod.ab" is given twice'),
        ({"leases": []}, "leases is not known to this version"),
    ],
)
def test_what_is_no_record_is_named(body: Any, sentence: str) -> None:
    with pytest.raises(RejectedError, match="IPAM") as refused:
        read_section(body)
    assert sentence in str(refused.value)


def test_every_kind_of_record_has_its_place() -> None:
    kinds = {type(record) for record in STATE.records}
    assert kinds == {IPAMBlock, BlockAffinity, IPAMHandle, IPAMConfig}
