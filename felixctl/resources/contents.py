"""What a document says that no kind of resource has, or that is not for a file to say.

Pure. Nothing in a file goes unmentioned: what is not understood is refused, and what is not taken is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from datastore.node_fields import V3_FIELDS
from datastore.record import Resource
from felixctl.resources import view
from felixctl.resources.manifests import Manifest, not_text
from felixctl.resources.view import Json

TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")
_TEXT_MAPS = ("labels", "annotations")
_ASSIGNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "selfLink",
)
_METADATA = ("name", "namespace", "resourceVersion", *_TEXT_MAPS, *_ASSIGNED)


def mistakes(one: Manifest) -> Iterator[str]:
    """Yield a sentence for each thing that its kind does not have, and for labels and annotations that are no texts."""
    yield from unknown_keys(one.written, TOP_LEVEL, "")
    yield from unknown_keys(one.written["metadata"], _METADATA, "metadata.")
    for field in _TEXT_MAPS:
        yield from _no_texts(one.written["metadata"].get(field), f"metadata.{field}")
    if _is_shown_node(one.written):
        for field in ("spec", "status"):
            yield from _unknown_in_node(one.written.get(field), (field,))


def unknown_keys(written: Iterable[Any], known: Iterable[str], within: str) -> Iterator[str]:
    """Yield a sentence for each key that is not known, with the one that was probably meant."""
    known = list(known)
    for key in written:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            yield f"there is no field {within}{key}" + (f"; did you mean {near[0]}?" if near else "")


def _no_texts(written: object, field: str) -> Iterator[str]:
    match written:
        case None:
            return
        case dict():
            for key, value in written.items():
                if value is not None and not isinstance(value, str):
                    yield not_text(f"{field}.{key}", value)
        case _:
            yield f"{field} is not a mapping of texts to texts"


def cleaned(written: Mapping[str, Any]) -> Json:
    """Return what was written without what `mistakes` names; a label without a value has an empty one, as in Go."""
    metadata = dict(written["metadata"])
    for field in _TEXT_MAPS:
        if field in metadata:
            found = metadata[field] if isinstance(metadata[field], dict) else {}
            texts = {key: "" if value is None else value for key, value in found.items()}
            metadata[field] = {key: value for key, value in texts.items() if isinstance(value, str)}
    return {key: written[key] for key in TOP_LEVEL if key in written} | {"metadata": metadata}


def _is_shown_node(written: Mapping[str, Any]) -> bool:
    """Whether it is a Node as Calico shows it: only some of its fields have a place in the stored one."""
    return bool(written["kind"] == "Node" and written["apiVersion"] == view.SHOWN)


_DERIVED = (("spec", "addresses"), ("spec", "orchRefs"), ("status", "podCIDRs"))
_NODE_PATHS = (*V3_FIELDS.values(), *_DERIVED)


def _unknown_in_node(written: object, path: tuple[str, ...]) -> Iterator[str]:
    field = ".".join(path)
    if path in _NODE_PATHS:
        if path not in _DERIVED and path[-1] not in ("asNumber", "interfaces") and not isinstance(written, str | None):
            yield not_text(field, written)
    elif isinstance(written, dict):
        known = {known[len(path)] for known in _NODE_PATHS if known[: len(path)] == path}
        yield from unknown_keys(written, sorted(known), f"{field}.")
        for key in sorted(known & written.keys()):
            yield from _unknown_in_node(written[key], (*path, key))
    elif written is not None:
        yield f"{field} is not a mapping"


def not_taken(one: Manifest, new: Resource, old: Resource | None) -> tuple[str, ...]:
    """Return the fields that a file does not decide and that differ from what `new`, the object then stored, has."""
    seen, raw = view.of(new), new.to_json()
    metadata = one.written["metadata"]
    paths: list[tuple[str, ...]] = [("metadata", field) for field in _ASSIGNED]
    if old is None and metadata.get("resourceVersion"):
        paths.append(("metadata", "resourceVersion"))
        seen = {**seen, "metadata": {**seen["metadata"], "resourceVersion": None}}
        raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": None}}
    if _is_shown_node(one.written):
        paths += _DERIVED
    elif one.written["apiVersion"] != view.CORE:
        paths.append(("status",))
    differing = (
        path
        for path in paths
        if (value := at(one.written, path)) not in (None, "", {}, []) and value not in (at(seen, path), at(raw, path))
    )
    return tuple(".".join(path) for path in differing)


def at(view: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = view
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
