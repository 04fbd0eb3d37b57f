"""What the API server's objects are as resources, and which of them an interest means. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
from pydantic import ValidationError

from datastore.errors import BadRecord, Invalid
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kube.folded_metadata import unfolded
from datastore.kube.pod_message import PodMessage
from datastore.kube.pods import endpoint_of, read_pod, summary_of_pod
from datastore.kube.shallow import members
from datastore.kube.uids import mirrored
from datastore.names import workload_endpoint_name
from datastore.record import CRD, Metadata, Resource
from datastore.store import Interest, Named, Summary, Unreadable
from datastore.summaries import EndpointSummary
from datastore.watch import Key, key_for, key_of

Interests: TypeAlias = tuple[Interest[Any], ...]
Entry: TypeAlias = tuple[Key, Resource | Unreadable | None]
Raw: TypeAlias = msgspec.Raw | PodMessage
"""An object as text, or a pod that was sent in another form."""


_SERVERS_NOTES = ("managedFields", "generation")
"""What the API server writes into metadata for itself: who wrote which field last, and how often the spec changed."""

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)


class ObjectMetadata(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str | None = None
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class Outline(msgspec.Struct):
    """What any object says of itself, whatever else it holds."""

    metadata: ObjectMetadata = msgspec.field(default_factory=ObjectMetadata)
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class _PodSpec(msgspec.Struct, rename="camel"):
    node_name: str = ""


def outline(raw: bytes | msgspec.Raw) -> Outline:
    """Raises msgspec.DecodeError: it is no object of Kubernetes'."""
    try:
        return msgspec.json.decode(raw, type=Outline)
    except RecursionError:
        metadata = members(bytes(raw)).get("metadata", b"{}")
        return Outline(msgspec.json.decode(metadata, type=ObjectMetadata))


def read_object(kind: type[Resource], raw: Raw) -> Resource | None:
    """Return what an object is as a resource; None: a pod without an endpoint. Raises BadRecord."""
    if isinstance(raw, PodMessage) or kind is WorkloadEndpoint:
        pod = raw.pod() if isinstance(raw, PodMessage) else read_pod(raw)
        return endpoint_of(pod) if pod.has_endpoint else None
    return read_record(kind, raw)


def read_record(kind: type[R], raw: bytes | msgspec.Raw) -> R:
    """Return the object that a text of the API server's holds, as clients of Calico's v3 API know it.

    Raises BadRecord.
    """
    return _read(kind, _decoded(kind, raw))


def read_written(sent: R, api_version: str, raw: bytes) -> R:
    """Return an object that was written as it is stored now, by an answer that has its metadata, or all of it.

    Raises BadRecord.
    """
    kind, answer = type(sent), _decoded(type(sent), raw)
    match answer:
        case {"kind": "PartialObjectMetadata", "metadata": dict(metadata)}:
            try:
                stored = Metadata.model_validate(_as_clients_know_it(metadata, api_version))
            except ValidationError as error:
                raise BadRecord(f'read the metadata of {kind.KIND} "{sent.name}": {error}') from None
            return sent.model_copy(update={"metadata": stored})
        case _:
            return _read(kind, answer)


def _decoded(kind: type[Resource], raw: bytes | msgspec.Raw) -> object:
    """Raises BadRecord."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(f"read {kind.KIND}: its text is not JSON: {error}") from None
    except RecursionError:
        raise BadRecord(f"read {kind.KIND}: it is nested too deeply") from None


def _read(kind: type[R], record: object) -> R:
    """Raises BadRecord."""
    if isinstance(record, dict) and isinstance(record.get("metadata"), dict):
        record = {"apiVersion": kind.API_VERSION, "kind": kind.KIND, **record}  # in a list, core objects have neither
        record["metadata"] = _as_clients_know_it(record["metadata"], record["apiVersion"])
    try:
        return kind.read(record)
    except Invalid as error:
        raise BadRecord(str(error)) from None


def _as_clients_know_it(stored: Mapping[str, Any], api_version: str) -> dict[str, Any]:
    """Return an object's metadata without the server's own notes, and as clients of Calico's v3 API have it."""
    metadata = {key: value for key, value in stored.items() if key not in _SERVERS_NOTES}
    if api_version != CRD:
        return metadata
    metadata = unfolded(metadata)
    if isinstance(uid := metadata.get("uid"), str):
        metadata["uid"] = mirrored(uid)
    return metadata


def entry(kind: type[Resource], interests: Interests, raw: msgspec.Raw, *, gone: bool = False) -> Entry:
    """Return an object as a reading of it: None where it is gone, flagged as deleted, or meant by no interest.

    Raises msgspec.DecodeError: it is no object of Kubernetes'.
    """
    if gone:
        return _key(kind, raw), None
    key, found = stored_entry(kind, raw)
    if isinstance(found, Resource) and (found.deleted or not any(is_meant(each, found) for each in interests)):
        return key, None
    return key, found


def stored_entry(kind: type[Resource], raw: Raw) -> Entry:
    """Return an object whatever it is, also one that is flagged as deleted. Raises as `entry` does."""
    try:
        found = read_object(kind, raw)
    except BadRecord as error:
        key = _key(kind, raw)
        reason = str(error) if f'"{key.name}"' in str(error) else f"{key}: {error}"
        return key, Unreadable(kind, key.name, key.namespace or None, reason)
    return (_key(kind, raw) if found is None else key_of(found)), found


def summarized(summary: Summary[R, S], raw: Raw) -> S | Resource | Unreadable | None:
    """Return what is kept of an object, or the object if it is flagged as deleted; None: a pod without an endpoint."""
    kept: object
    if isinstance(raw, PodMessage):
        kept = summary_of_pod(raw.outline())
    elif summary.kind is WorkloadEndpoint:
        kept = _summary_of_text(raw)
    else:
        kept = summary.read(bytes(raw))
    if kept is not None:
        return cast(S, kept)
    found = stored_entry(summary.kind, raw)[1]
    return summary.of(found) if isinstance(found, summary.kind) and not found.deleted else found


def shown(summary: Summary[R, S], look: Callable[[S], object], raw: Raw) -> Resource | Unreadable | None:
    """Have `look` see what is kept of an object, if it is one that is there; return it else."""
    found = summarized(summary, raw)
    if found is None or isinstance(found, (Resource, Unreadable)):
        return found
    look(found)
    return None


def _summary_of_text(raw: msgspec.Raw) -> EndpointSummary | None:
    try:
        return summary_of_pod(read_pod(raw).outline)
    except BadRecord:
        return None


def is_meant(interest: Interest[Any], found: Resource) -> bool:
    """Whether an object meets every condition of an interest."""
    return (
        (interest.namespace is None or found.namespace == interest.namespace)
        and (interest.name is None or found.name == interest.name)
        and (interest.node is None or _node(found) == interest.node)
        and interest.labels.items() <= found.labels.items()
    )


def by_kind(interests: Iterable[Interest[Any]]) -> dict[type[Resource], Interests]:
    """Return the interests in each kind."""
    found: dict[type[Resource], Interests] = {}
    for interest in interests:
        found[interest.kind] = (*found.get(interest.kind, ()), interest)
    return found


def _node(found: Resource) -> object:
    at: Any = found.to_json()
    for part in type(found).NODE_FIELD.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return at


def _key(kind: type[Resource], raw: Raw) -> Key:
    if isinstance(raw, PodMessage):
        pod = raw.outline()
        return key_for(kind, workload_endpoint_name(pod.node, pod.name), pod.namespace)
    about = outline(raw)
    name = about.metadata.name
    if kind is WorkloadEndpoint:
        name = workload_endpoint_name(msgspec.json.decode(about.spec, type=_PodSpec).node_name, name)
    return key_for(kind, name, about.metadata.namespace)
