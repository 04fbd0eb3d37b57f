"""The workload endpoint that a pod stands for, and what a node writes on the pod about its addresses.

Pure. As in Calico (libcalico's conversion of pods): names, interface, precedence of addresses, phases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

import msgspec

from datastore.errors import BadRecord, Invalid
from datastore.fields import network_or_address
from datastore.names import (
    DEVICE,
    ENCAPSULATED,
    IPAM,
    NETWORK,
    POD_IPS,
    USUAL_PREFIX,
    interface_name,
    workload_endpoint_name,
)
from datastore.summaries import EndpointSpec, EndpointSummary, single_address

if TYPE_CHECKING:  # pydantic comes with it, and who reads summaries needs none
    from datastore.kinds.pods import WorkloadEndpoint

ANNOTATION = "cni.projectcalico.org/"
POD_IP, CONTAINER_ID = f"{ANNOTATION}podIP", f"{ANNOTATION}containerID"
ALLOWED_SOURCES = f"{ANNOTATION}allowedSourcePrefixes"
_FINISHED = ("Succeeded", "Failed", "Completed")
_LONGEST_LABEL = 63


class PodMetadata(msgspec.Struct, rename="camel", gc=False):
    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PodSpec(msgspec.Struct, rename="camel", gc=False):
    node_name: str = ""
    host_network: bool = False
    service_account_name: str = ""


class PodAddress(msgspec.Struct, gc=False):
    ip: str = ""


class ReportedStatus(msgspec.Struct, gc=False):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: list[PodAddress] = msgspec.field(default_factory=list, name="podIPs")


class PodOutline(msgspec.Struct, frozen=True, gc=False):
    """The parts of a pod that the summary of its endpoint is made of."""

    name: str
    namespace: str
    revision: str
    is_ending: bool
    annotations: Mapping[str, str]
    node: str
    host_network: bool
    phase: str
    ip: str
    ips: Sequence[str]
    """The addresses that its status has, and before them the one that older servers had alone."""

    @property
    def has_endpoint(self) -> bool:
        """Whether the pod has a network of its own on a node, or will have."""
        return bool(self.node) and not self.host_network

    @property
    def written_addresses(self) -> list[str]:
        """Its addresses as they are written, with or without a length; none once it has given them back."""
        if self.phase in _FINISHED or (self.is_ending and self.annotations.get(POD_IP) == ""):
            return []
        if reported := [text for text in self.ips if text] or ([self.ip] if self.ip else []):
            return reported
        sources = (self.annotations.get(POD_IPS, "").split(","), [self.annotations.get(POD_IP, "")])
        return next((written for source in sources if (written := [text for text in source if text])), [])


class Pod(msgspec.Struct, gc=False):
    """The parts of a pod that say something about its endpoint."""

    metadata: PodMetadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: ReportedStatus = msgspec.field(default_factory=ReportedStatus)

    @property
    def outline(self) -> PodOutline:
        metadata, spec, status = self.metadata, self.spec, self.status
        return PodOutline(
            metadata.name,
            metadata.namespace,
            metadata.resource_version,
            metadata.deletion_timestamp is not None,
            metadata.annotations,
            spec.node_name,
            spec.host_network,
            status.phase,
            status.pod_ip,
            [address.ip for address in status.pod_ips],
        )

    @property
    def has_endpoint(self) -> bool:
        """Whether the pod has a network of its own on a node, or will have."""
        return self.outline.has_endpoint

    @property
    def addresses(self) -> list[str]:
        """The pod's addresses as /32 and /128; none once it has given them back. Raises BadRecord."""
        return [_widened(text) for text in self.outline.written_addresses]


def read_pod(body: bytes | msgspec.Raw) -> Pod:
    """Raises BadRecord: it is no pod."""
    try:
        return msgspec.json.decode(body, type=Pod)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(f"read a pod: {error}") from None


def endpoint_of(pod: Pod) -> WorkloadEndpoint:
    """Return the endpoint of a pod that has one. Raises BadRecord: an address of it is none."""
    from datastore.kinds.pods import WorkloadEndpoint
    from datastore.record import V3

    metadata, spec = pod.metadata, pod.spec
    account = spec.service_account_name
    labels = {
        **metadata.labels,
        "projectcalico.org/namespace": metadata.namespace,
        "projectcalico.org/orchestrator": "k8s",
        **({"projectcalico.org/serviceaccount": account} if 0 < len(account) < _LONGEST_LABEL else {}),
    }
    record: dict[str, Any] = {
        "apiVersion": V3,
        "kind": "WorkloadEndpoint",
        "metadata": {
            "name": workload_endpoint_name(spec.node_name, metadata.name),
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
            "labels": labels,
            "annotations": metadata.annotations,
        },
        "spec": {
            "orchestrator": "k8s",
            "node": spec.node_name,
            "pod": metadata.name,
            "endpoint": "eth0",
            "containerID": metadata.annotations.get(CONTAINER_ID),
            "serviceAccountName": account or None,
            "ipNetworks": pod.addresses,
            "profiles": [f"kns.{metadata.namespace}", *([f"ksa.{metadata.namespace}.{account}"] if account else [])],
            "interfaceName": _device(metadata.namespace, metadata.name, metadata.annotations),
            "allowedSourcePrefixes": _networks(metadata.annotations.get(ALLOWED_SOURCES)),
        },
    }
    for part, key in (("metadata", "creationTimestamp"), ("metadata", "deletionTimestamp")):
        if written := getattr(metadata, "creation_timestamp" if key.startswith("c") else "deletion_timestamp"):
            record[part][key] = written
    record["spec"] = {key: value for key, value in record["spec"].items() if value is not None}
    try:
        return WorkloadEndpoint.read(record)
    except Invalid as error:
        raise BadRecord(str(error)) from None


def summary_of_pod(pod: PodOutline) -> EndpointSummary | None:
    """Return what is kept of a pod's endpoint; None: it has none, or something that only `endpoint_of` can judge."""
    annotations = pod.annotations
    if not pod.has_endpoint or not pod.namespace or ALLOWED_SOURCES in annotations or ENCAPSULATED in annotations:
        return None
    try:
        addresses = tuple(map(single_address, pod.written_addresses))
    except ValueError:
        return None
    device = _device(pod.namespace, pod.name, annotations)
    return EndpointSummary(
        workload_endpoint_name(pod.node, pod.name),
        pod.namespace,
        pod.revision,
        addresses,
        EndpointSpec(pod.node, pod.name, "eth0", annotations.get(CONTAINER_ID), device),
        annotations.get(NETWORK),
        annotations.get(IPAM),
    )


def pod_of_endpoint(name: str) -> str | None:
    """Return the name of the pod that an endpoint's name holds; None where it was cut, or says something else."""
    parts = [part.replace("--", "-") for part in re.split("(?<!-)-(?!-)", name)]
    if len(parts) != 4 or workload_endpoint_name(parts[0], parts[2]) != name:
        return None
    return parts[2]


def attached_patch(endpoint: WorkloadEndpoint) -> dict[str, Any]:
    """Return the patch that writes an endpoint's addresses on its pod, if it is still that pod."""
    addresses, device = endpoint.spec.ip_networks, endpoint.spec.interface_name
    is_usual = device == interface_name(endpoint.namespace or "", endpoint.spec.pod or "")
    annotations = {
        POD_IP: addresses[0] if addresses else "",
        POD_IPS: ",".join(addresses),
        CONTAINER_ID: endpoint.spec.container_id or "",
        IPAM: endpoint.annotations.get(IPAM),  # none: what is noted of an older container goes
        DEVICE: None if is_usual else device,
    }
    return {"metadata": {**_precondition(endpoint, revision=False), "annotations": annotations}}


def detached_patch(endpoint: WorkloadEndpoint) -> dict[str, Any]:
    """Return the patch that says that a pod has given its addresses back, if nobody wrote it since it was read."""
    container = endpoint.spec.container_id  # so that who knows that container's end does not take it for another's
    annotations = {POD_IP: "", POD_IPS: "", **({CONTAINER_ID: container} if container else {})}
    return {"metadata": {**_precondition(endpoint, revision=True), "annotations": annotations}}


def _device(namespace: str, pod: str, annotations: Mapping[str, str]) -> str:
    """Return the name of a pod's device: the one that was noted, if this pod's can have it, or the usual one."""
    noted = annotations.get(DEVICE)
    digits = interface_name(namespace, pod, prefix="")
    return noted if noted and re.fullmatch(rf"[\w.-]{{1,4}}{digits}", noted, re.ASCII) else USUAL_PREFIX + digits


def _precondition(endpoint: WorkloadEndpoint, *, revision: bool) -> Mapping[str, str]:
    uid, version = endpoint.metadata.uid, endpoint.revision
    return {**({"uid": uid} if uid else {}), **({"resourceVersion": version} if revision and version else {})}


def _widened(text: str) -> str:
    try:
        return str(ip_interface(text).ip) + ("/128" if ":" in text else "/32")
    except ValueError:
        raise BadRecord(f'read a pod: "{text[:80]}" is not an address') from None


def _networks(written: str | None) -> list[str] | None:
    """Return the networks of a JSON list; None where it has none.

    What is no network is left out: nobody acts on it, and it must not make unreadable what the pod uses.
    """
    try:
        found = json.loads(written or "null")
    except (ValueError, RecursionError):
        return None
    return [text for text in found if _is_network(text)] or None if isinstance(found, list) else None


def _is_network(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(network_or_address(text))
    except ValueError:
        return False
