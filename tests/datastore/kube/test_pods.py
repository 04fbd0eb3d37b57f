"""The endpoint that a pod is, against pods and endpoints that a real Calico wrote and printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from datastore.errors import BadRecord
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.pods import (
    ALLOWED_SOURCES,
    CONTAINER_ID,
    attached_patch,
    detached_patch,
    endpoint_of,
    pod_of_endpoint,
    read_pod,
    summary_of_pod,
)
from datastore.names import DEVICE, IPAM, NETWORK, interface_name, workload_endpoint_name
from datastore.summaries import EndpointSummary

CALICO = Path(__file__).parents[2] / "fixtures" / "calico"


def pod(phase: str = "Running", annotations: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    metadata = {
        "name": "web-0",
        "namespace": "red",
        "uid": "u1",
        "resourceVersion": "7",
        "annotations": annotations or {},
    }
    for key in ("deletionTimestamp", "labels"):
        if key in more:
            metadata[key] = more.pop(key)
    spec = {"nodeName": "n-1", "serviceAccountName": "robot", "hostNetwork": more.pop("hostNetwork", False)}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, **more}}


def endpoint(record: dict[str, Any]) -> WorkloadEndpoint:
    return endpoint_of(read_pod(json.dumps(record).encode()))


def test_the_endpoint_of_a_pod_is_the_one_that_calicoctl_prints() -> None:
    given = yaml.safe_load((CALICO / "crs" / "pod-after-add.yaml").read_text())
    printed = yaml.safe_load((CALICO / "cli" / "after-add-workloadendpoints.yaml").read_text())
    [expected] = [each for each in printed["items"] if each["spec"]["pod"] == given["metadata"]["name"]]
    ours = endpoint_of(read_pod(json.dumps(given, default=str).encode())).to_json()
    assert ours["metadata"]["name"] == expected["metadata"]["name"]
    assert ours["metadata"]["labels"] == expected["metadata"]["labels"]
    assert ours["spec"] == {key: value for key, value in expected["spec"].items() if key != "ports"}


@pytest.mark.parametrize(
    "record",
    [
        pod(podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], labels={"a": "b"}),
        pod(annotations={"cni.projectcalico.org/podIP": "10.0.0.1/32", CONTAINER_ID: "c" * 64, NETWORK: "other"}),
        pod(annotations={DEVICE: interface_name("red", "web-0", "tap")}),
        pod("Succeeded", podIP="10.0.0.1"),
        pod(),
    ],
)
def test_what_is_kept_of_a_pods_endpoint_is_kept_of_the_pod(record: dict[str, Any]) -> None:
    kept = summary_of_pod(read_pod(json.dumps(record).encode()).outline)
    assert kept == EndpointSummary.of(endpoint(record))


@pytest.mark.parametrize(
    "record",
    [
        pod(podIP="nowhere"),
        pod(hostNetwork=True, podIP="192.0.2.1"),
        pod(annotations={ALLOWED_SOURCES: '["10.0.0.0/33"]'}),
    ],
)
def test_what_may_be_wrong_with_a_pod_is_left_to_its_reader(record: dict[str, Any]) -> None:
    assert summary_of_pod(read_pod(json.dumps(record).encode()).outline) is None


@pytest.mark.parametrize(
    ("written", "networks"),
    [
        ('["10.0.0.0/8", "fd00::1"]', ["10.0.0.0/8", "fd00::1"]),
        ('["10.0.0.0/8", "bogus", 3]', ["10.0.0.0/8"]),
        ('["10.0.0.0/33"]', []),
        ('{"a": 1}', []),
        ("bogus", []),
        ("", []),
    ],
)
def test_sources_that_are_no_networks_leave_a_pod_readable(written: str, networks: list[str]) -> None:
    found = endpoint(pod(podIP="10.0.0.1", annotations={ALLOWED_SOURCES: written}))
    assert (list(found.spec.allowed_source_prefixes), list(found.spec.ip_networks)) == (networks, ["10.0.0.1/32"])


@pytest.mark.parametrize(
    ("record", "networks"),
    [
        (pod(podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]), ["10.0.0.1/32", "fd00::1/128"]),
        (pod(podIP="10.0.0.1"), ["10.0.0.1/32"]),
        (pod(annotations={"cni.projectcalico.org/podIPs": "10.0.0.1/32,fd00::1/128"}), ["10.0.0.1/32", "fd00::1/128"]),
        (pod(annotations={"cni.projectcalico.org/podIP": "10.0.0.1/32"}), ["10.0.0.1/32"]),
        (pod(podIP="10.0.0.1", annotations={"cni.projectcalico.org/podIP": "10.0.0.9/32"}), ["10.0.0.1/32"]),
        (pod(), []),
        (pod("Succeeded", podIP="10.0.0.1"), []),
        (pod("Failed", podIP="10.0.0.1"), []),
        (pod(podIP="10.0.0.1", deletionTimestamp="2026-01-01T00:00:00Z"), ["10.0.0.1/32"]),
        (
            pod(
                podIP="10.0.0.1",
                deletionTimestamp="2026-01-01T00:00:00Z",
                annotations={"cni.projectcalico.org/podIP": ""},
            ),
            [],
        ),
    ],
)
def test_addresses_come_from_the_first_place_that_has_any(record: dict[str, Any], networks: list[str]) -> None:
    assert list(endpoint(record).spec.ip_networks) == networks


def test_a_pod_of_the_hosts_network_or_without_a_node_has_no_endpoint() -> None:
    assert not read_pod(json.dumps(pod(hostNetwork=True)).encode()).has_endpoint
    assert not read_pod(b'{"metadata": {"name": "a", "namespace": "b"}}').has_endpoint
    assert read_pod(json.dumps(pod()).encode()).has_endpoint


def test_the_service_account_is_a_label_only_where_it_fits() -> None:
    assert endpoint(pod()).labels["projectcalico.org/serviceaccount"] == "robot"
    long = pod()
    long["spec"]["serviceAccountName"] = "r" * 63
    assert "projectcalico.org/serviceaccount" not in endpoint(long).labels
    assert endpoint(long).spec.profiles == ("kns.red", f"ksa.red.{'r' * 63}")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"metadata": {"name": 5}}', b"\xff", b'{"metadata": {"name": "a", "namespace": null}}']
)
def test_what_is_no_pod_is_invalid(body: bytes) -> None:
    with pytest.raises(BadRecord, match="read a pod"):
        read_pod(body)


def test_an_address_that_is_none_is_invalid() -> None:
    with pytest.raises(BadRecord, match='"nowhere" is not an address'):
        endpoint(pod(podIP="nowhere"))


@pytest.mark.parametrize("name", ["web-0", "a", "my-very-own-pod", "x.y"])
@pytest.mark.parametrize("node", ["n1", "node-1", "a-b.c-d"])
def test_the_pod_is_found_in_the_name_of_its_endpoint(node: str, name: str) -> None:
    assert pod_of_endpoint(workload_endpoint_name(node, name)) == name


@pytest.mark.parametrize("name", ["web", "n1-k8s-web-net1", workload_endpoint_name("n1", "a-" * 120 + "b")])
def test_a_name_that_does_not_say_its_pod_has_none(name: str) -> None:
    assert pod_of_endpoint(name) is None


def test_attaching_writes_addresses_and_container_on_the_very_pod() -> None:
    found = endpoint(pod()).with_spec(ip_networks=("10.0.0.1/32", "fd00::1/128"), container_id="c1")
    written = {
        "cni.projectcalico.org/podIP": "10.0.0.1/32",
        "cni.projectcalico.org/podIPs": "10.0.0.1/32,fd00::1/128",
        "cni.projectcalico.org/containerID": "c1",
        IPAM: None,
        DEVICE: None,
    }
    assert attached_patch(found) == {"metadata": {"uid": "u1", "annotations": written}}


def test_attaching_writes_which_plugin_gave_the_addresses() -> None:
    found = endpoint(pod())
    given = found.with_metadata(annotations={IPAM: "host-local", NETWORK: "pods"})
    assert attached_patch(given)["metadata"]["annotations"][IPAM] == "host-local"
    assert attached_patch(found)["metadata"]["annotations"][IPAM] is None  # as of an older container, perhaps
    assert NETWORK not in attached_patch(given)["metadata"]["annotations"]


def test_a_device_that_is_named_otherwise_than_usual_is_the_pods_for_every_reader() -> None:
    ours = interface_name("red", "web-0", "tap")
    made = endpoint(pod()).with_spec(interface_name=ours)
    written = attached_patch(made)["metadata"]["annotations"]
    assert endpoint(pod(annotations=written | {IPAM: ""})).spec.interface_name == ours


@pytest.mark.parametrize("noted", ["eth0", interface_name("red", "web-1"), interface_name("red", "web-0", "12345"), ""])
def test_no_pod_can_name_a_device_that_is_none_of_its_own(noted: str) -> None:
    assert endpoint(pod(annotations={DEVICE: noted})).spec.interface_name == interface_name("red", "web-0")


def test_detaching_empties_the_addresses_if_nobody_wrote_since() -> None:
    emptied = {"cni.projectcalico.org/podIP": "", "cni.projectcalico.org/podIPs": ""}
    assert detached_patch(endpoint(pod())) == {
        "metadata": {"uid": "u1", "resourceVersion": "7", "annotations": emptied}
    }
