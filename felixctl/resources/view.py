"""The two forms of a resource: as the datastore stores it, and as users read and write it.

Calico's users see `projectcalico.org/v3` everywhere. The cluster stores custom resources of another group, with the
user's labels and annotations folded into one annotation; its nodes are the core Nodes of Kubernetes, with their routing
data in annotations. A workload endpoint is stored as it is shown.

Pure: JSON-like values in and out, nothing is changed in place, no datastore is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from datastore import fields
from datastore.node_fields import V3_FIELDS

if TYPE_CHECKING:  # pydantic comes with it, and a record is shown without
    from datastore.record import Resource

Json = dict[str, Any]

SHOWN = "projectcalico.org/v3"
STORED = "crd.projectcalico.org/v1"
CORE = "v1"

_PREFIX = "projectcalico.org/"
_FOLDED = f"{_PREFIX}metadata"
_KUBE_LABELS = f"{_PREFIX}kube-labels"
_NODE_LABELS = f"{_PREFIX}labels"
_NODE_ANNOTATIONS = f"{_PREFIX}annotations"

_KIND_SHOWN = {"IPAMConfig": "IPAMConfiguration"}
_KIND_STORED = {shown: stored for stored, shown in _KIND_SHOWN.items()}


def of(resource: Resource) -> Json:
    """Return a resource as users read it. Its record may lack the kind, as what the API server lists does."""
    return shown({**resource.to_json(), "kind": resource.KIND})


def shown(record: Mapping[str, Any]) -> Json:
    """Return a stored record, which names its kind, as users read it."""
    match record["kind"]:
        case "Node":
            return _node_shown(record)
        case "WorkloadEndpoint":
            return {**record, "apiVersion": SHOWN}
        case kind:
            metadata = _metadata_shown(record["metadata"])
            return {**record, "apiVersion": SHOWN, "kind": _KIND_SHOWN.get(kind, kind), "metadata": metadata}


def stored(view: Mapping[str, Any], existing: Mapping[str, Any] | None = None) -> Json:
    """Return the record to store for what a user wrote, in place of `existing` if there is one.

    What the datastore assigned (uid, creation time, status) stays. The revision is the one written, so that a stale
    copy is refused; without one, that of `existing`.
    """
    match view["kind"]:
        case "Node" if view["apiVersion"] == CORE:
            return {**view, "metadata": _metadata_stored(view["metadata"], existing)}
        case "Node":
            return _node_stored(view, existing)
        case "WorkloadEndpoint":
            metadata = _metadata_stored(view["metadata"], existing)
            return _without_none({**view, "apiVersion": SHOWN, "metadata": metadata})
        case kind:
            record = {
                **view,
                "apiVersion": STORED,
                "kind": _KIND_STORED.get(kind, kind),
                "metadata": _metadata_stored(view["metadata"], existing),
                "status": (existing or {}).get("status"),
            }
            return _without_none(record)


def listed(kind: str, views: list[Json], revision: str | None = None) -> Json:
    """Return views of one kind as the list that `get KIND -o yaml` prints."""
    metadata = {"resourceVersion": revision} if revision else {}
    return {"apiVersion": SHOWN, "kind": f"{kind}List", "metadata": metadata, "items": views}


def _metadata_shown(metadata: Mapping[str, Any]) -> Json:
    """Return the metadata merged with the metadata that Calico stores in an annotation; the annotation wins."""
    own_annotations = dict(metadata.get("annotations") or {})
    inner = _json_map(own_annotations.pop(_FOLDED, None))
    if not inner:
        unfolded = dict(metadata)
    else:
        own = {key: metadata.get(key) for key in ("name", "namespace", "resourceVersion", "uid")}
        unfolded = {
            **inner,
            **own,
            "creationTimestamp": inner.get("creationTimestamp") or metadata.get("creationTimestamp"),
            "labels": {**(metadata.get("labels") or {}), **_texts(inner.get("labels"))},
            "annotations": {**own_annotations, **_texts(inner.get("annotations"))},
        }
    return _without_empty(unfolded)


_ASSIGNED_BY_STORE = ("uid", "creationTimestamp", "generation", "ownerReferences", "finalizers", "deletionTimestamp")


def _metadata_stored(metadata: Mapping[str, Any], existing: Mapping[str, Any] | None) -> Json:
    """Return plain metadata: what of it stands in an annotation in the end is the store's to know."""
    old = (existing or {}).get("metadata", {})
    return _without_empty(
        {
            **{key: old.get(key) for key in _ASSIGNED_BY_STORE},
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "labels": metadata.get("labels"),
            "annotations": metadata.get("annotations"),
            "resourceVersion": metadata.get("resourceVersion") or old.get("resourceVersion"),
        }
    )


def _node_shown(node: Mapping[str, Any]) -> Json:
    metadata = node["metadata"]
    annotations = metadata.get("annotations") or {}
    kube_labels = metadata.get("labels") or {}
    view: Json = {
        "apiVersion": SHOWN,
        "kind": "Node",
        "metadata": _without_empty(
            {
                **{key: metadata.get(key) for key in ("name", "uid", "resourceVersion", "creationTimestamp")},
                "labels": {**_texts(_json_map(annotations.get(_NODE_LABELS))), **kube_labels},
                "annotations": {
                    **_texts(_json_map(annotations.get(_NODE_ANNOTATIONS))),
                    _KUBE_LABELS: _compact(kube_labels),
                },
            }
        ),
        "spec": {"addresses": _node_addresses(node)} if _node_addresses(node) else {},
    }
    for name, path in V3_FIELDS.items():
        if text := annotations.get(_PREFIX + name):
            _place(view, path, _field_value(name, text))
    view["spec"]["orchRefs"] = [{"nodeName": metadata["name"], "orchestrator": "k8s"}]
    if pod_cidrs := _find(node, ("spec", "podCIDRs")):
        _place(view, ("status", "podCIDRs"), pod_cidrs)
    return view


def _node_addresses(node: Mapping[str, Any]) -> list[Json]:
    annotations = node["metadata"].get("annotations") or {}
    routed = (annotations.get(f"{_PREFIX}IPv{version}Address") for version in (4, 6))
    reported = _find(node, ("status", "addresses"))
    entries = [entry for entry in reported if isinstance(entry, Mapping)] if isinstance(reported, list) else []
    return [
        *({"address": address, "type": "CalicoNodeIP"} for address in routed if address),
        *(dict(entry) for entry in entries if entry.get("type") in _SHOWN_ADDRESSES),
    ]


_SHOWN_ADDRESSES = ["InternalIP", "ExternalIP"]


def _node_stored(view: Mapping[str, Any], existing: Mapping[str, Any] | None) -> Json:
    """Return the core Node with the user's fields as annotations.

    The core Node's own labels belong to Kubernetes; those that users add go into an annotation of Calico's.
    """
    old: Mapping[str, Any] = existing or {"metadata": {}}
    metadata = _metadata_stored(view["metadata"], existing)
    annotations = dict(old["metadata"].get("annotations") or {})
    for name, path in V3_FIELDS.items():
        annotations[_PREFIX + name] = _annotation_value(_find(view, path))
    written = view["metadata"].get("annotations") or {}
    ours = {key: value for key, value in written.items() if key != _KUBE_LABELS}
    kube_labels = old["metadata"].get("labels") or {}
    labels = view["metadata"].get("labels") or {}
    extra = {key: value for key, value in labels.items() if kube_labels.get(key) != value}
    annotations[_NODE_ANNOTATIONS] = _compact(ours) if ours else None
    annotations[_NODE_LABELS] = _compact(extra) if extra else None
    metadata["annotations"] = _without_none(annotations)
    metadata["labels"] = dict(kube_labels)
    rest = {key: value for key, value in old.items() if key not in ("apiVersion", "kind", "metadata")}
    return {"apiVersion": CORE, "kind": "Node", "metadata": _without_empty(metadata), **rest}


def _field_value(name: str, text: str) -> Any:
    """Return an annotation's value as the field it is shown in; text that does not parse is shown unchanged."""
    try:
        match name:
            case "Interfaces":
                return json.loads(text)
            case "ASNumber":
                return fields.as_number(text)
    except (ValueError, RecursionError):
        pass
    return text


def _annotation_value(field: Any) -> str | None:
    match field:
        case None | "":
            return None
        case str():
            return field
        case list() | dict():
            return _compact(field)
        case _:
            return str(field)


def _json_map(text: str | None) -> Json:
    """Return the map in an annotation; a malformed one counts as absent, as in Calico."""
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _texts(mapping: object) -> dict[str, str]:
    return {key: text for key, text in mapping.items() if isinstance(text, str)} if isinstance(mapping, dict) else {}


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _place(view: Json, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        view = view.setdefault(key, {})
    view[path[-1]] = value


def _find(view: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = view
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _without_none(mapping: Mapping[str, Any]) -> Json:
    return {key: value for key, value in mapping.items() if value is not None}


def _without_empty(mapping: Mapping[str, Any]) -> Json:
    return {key: value for key, value in mapping.items() if value not in (None, "", {}, [])}
