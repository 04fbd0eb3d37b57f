"""Pods as the API server sends them in protobuf: a third of the work for it and for us, compared with JSON.

Pure. Of Kubernetes' definition (k8s.io/api/core/v1/generated.proto) it has the fields that `Pod` has; a reader passes
over all others. It takes longer to ask the message for its fields than to parse it, so a summary asks for few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

import msgspec

from datastore.fields import time_text
from datastore.kube.pods import Pod, PodAddress, PodMetadata, PodOutline, PodSpec, ReportedStatus

_STRING, _BOOL, _INT64, _MESSAGE = 9, 8, 3, 11
_OPTIONAL, _REPEATED = 1, 3
_FIELDS: dict[str, tuple[tuple[str, int, int | str, int], ...]] = {
    "Time": (("seconds", 1, _INT64, _OPTIONAL),),
    "Entry": (("key", 1, _STRING, _OPTIONAL), ("value", 2, _STRING, _OPTIONAL)),
    "Metadata": (
        ("name", 1, _STRING, _OPTIONAL),
        ("namespace", 3, _STRING, _OPTIONAL),
        ("uid", 5, _STRING, _OPTIONAL),
        ("resource_version", 6, _STRING, _OPTIONAL),
        ("created", 8, "Time", _OPTIONAL),
        ("deleted", 9, "Time", _OPTIONAL),
        ("labels", 11, "Entry", _REPEATED),
        ("annotations", 12, "Entry", _REPEATED),
    ),
    "Spec": (
        ("service_account_name", 8, _STRING, _OPTIONAL),
        ("node_name", 10, _STRING, _OPTIONAL),
        ("host_network", 11, _BOOL, _OPTIONAL),
    ),
    "Address": (("ip", 1, _STRING, _OPTIONAL),),
    "Status": (
        ("phase", 1, _STRING, _OPTIONAL),
        ("pod_ip", 6, _STRING, _OPTIONAL),
        ("pod_ips", 12, "Address", _REPEATED),
    ),
    "Pod": (
        ("metadata", 1, "Metadata", _OPTIONAL),
        ("spec", 2, "Spec", _OPTIONAL),
        ("status", 3, "Status", _OPTIONAL),
    ),
}
"""Name, number, type, and whether there may be several."""


class PodMessage(msgspec.Struct, frozen=True, gc=False):
    """A pod as it was sent. Both of what it says raise ValueError: it is no pod in protobuf."""

    sent: bytes

    def outline(self) -> PodOutline:
        pod = _parser()(self.sent)
        metadata, spec, status = pod.metadata, pod.spec, pod.status
        return PodOutline(
            metadata.name,
            metadata.namespace,
            metadata.resource_version,
            metadata.HasField("deleted"),
            _texts(metadata.annotations),
            spec.node_name,
            spec.host_network,
            status.phase,
            status.pod_ip,
            [address.ip for address in status.pod_ips],
        )

    def pod(self) -> Pod:
        pod = _parser()(self.sent)
        metadata, spec, status = pod.metadata, pod.spec, pod.status
        return Pod(
            PodMetadata(
                metadata.name,
                metadata.namespace,
                metadata.uid,
                metadata.resource_version,
                _time(metadata.created.seconds) if metadata.HasField("created") else None,
                _time(metadata.deleted.seconds) if metadata.HasField("deleted") else None,
                _texts(metadata.labels),
                _texts(metadata.annotations),
            ),
            PodSpec(spec.node_name, spec.host_network, spec.service_account_name),
            ReportedStatus(status.phase, status.pod_ip, [PodAddress(address.ip) for address in status.pod_ips]),
        )


def load() -> None:
    """Import the package that reads pods, which the first of them would wait for."""
    _parser()


def _texts(entries: Iterable[Any]) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries}


@lru_cache(maxsize=4096)
def _time(seconds: int) -> str:
    """Return a time as text. Many pods are made in the same second, and to write it takes as long as to read a pod."""
    return time_text(seconds * 10**9)


@cache
def _parser() -> Callable[[bytes], Any]:
    """Return what makes a pod of its message. Made, and its package imported, when the first pod is read."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="pod.proto", package="pod", syntax="proto2")
    for name, fields in _FIELDS.items():
        described = file.message_type.add(name=name)
        for field, number, kind, label in fields:
            sort = {"type": kind} if isinstance(kind, int) else {"type": _MESSAGE, "type_name": f".pod.{kind}"}
            described.field.add(name=field, number=number, label=label, **sort)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    pod: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("pod.Pod"))

    def parse(text: bytes) -> Any:
        try:
            return pod.FromString(text)
        except message.DecodeError as error:
            raise ValueError(f"it is no pod: {error}") from None

    return parse
