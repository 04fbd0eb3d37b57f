"""Metadata as Calico's clients know it, and as it stands in a custom resource: labels and annotations in an annotation.

Pure. Of an object's labels and annotations a custom resource has those of Calico's own names; one annotation has all of
them, as JSON, with the time at which a client made the object. Objects of the v3 API need none of this, and one that
was written without the annotation is read as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from datastore.names import ENCAPSULATED

if TYPE_CHECKING:  # pydantic comes with it, and who only reads plain records needs none
    from datastore.record import Resource

Json: TypeAlias = dict[str, Any]

_KEPT = ("projectcalico.org/", "operator.tigera.io/")
"""Of names of labels and annotations that a custom resource has in its own metadata too."""
_WITHOUT_TIME = ("BlockAffinity", "IPAMBlock", "IPAMConfig", "IPAMHandle")
"""What libcalico writes past its v3 client, so that nobody says when it was made."""
_WITH_NAME = ("GlobalNetworkPolicy", "NetworkPolicy", "StagedGlobalNetworkPolicy", "StagedNetworkPolicy")
"""Kinds whose objects say their name in the annotation: that of the resource may have a prefix."""


def unfolded(metadata: Mapping[str, Any]) -> Json:
    """Return a custom resource's metadata as a client of the v3 API has it.

    What the annotation says of labels, annotations and time wins; what else it says stays in it.
    """
    annotations = metadata.get("annotations")
    labels = metadata.get("labels") or {}
    if not isinstance(annotations, dict) or ENCAPSULATED not in annotations or not isinstance(labels, dict):
        return dict(metadata)
    inner = _json_object(annotations[ENCAPSULATED])
    own = {key: text for key, text in annotations.items() if key != ENCAPSULATED}
    left = {key: value for key, value in inner.items() if key not in ("labels", "annotations", "creationTimestamp")}
    found = {
        **metadata,
        "labels": {**labels, **_texts(inner.get("labels"))},
        "annotations": {**own, **_texts(inner.get("annotations")), **({ENCAPSULATED: _text(left)} if left else {})},
        "creationTimestamp": _time(inner) or metadata.get("creationTimestamp"),
    }
    return {key: value for key, value in found.items() if value not in (None, {})}


def folded(kind: type[Resource], given: Mapping[str, Any], now: str | None = None) -> Json:
    """Return metadata as libcalico writes it into a custom resource. now: the time, for an object that is new."""
    metadata = unfolded(given)
    annotations, labels = dict(metadata.get("annotations") or {}), dict(metadata.get("labels") or {})
    left = _json_object(annotations.pop(ENCAPSULATED, None))
    named = {"name": metadata["name"]} if now is not None and kind.KIND in _WITH_NAME else {}
    inner = {
        **named,
        **left,
        "creationTimestamp": None if kind.KIND in _WITHOUT_TIME else now or metadata.get("creationTimestamp"),
        **({"labels": dict(sorted(labels.items()))} if labels else {}),
        **({"annotations": dict(sorted(annotations.items()))} if annotations else {}),
    }
    found = {**metadata, "labels": _kept(labels), "annotations": {**_kept(annotations), ENCAPSULATED: _text(inner)}}
    return {key: value for key, value in found.items() if value != {}}


def is_matched_by_servers(label: str) -> bool:
    """Whether the API server knows an object's label of this name: a selector of another finds nothing there."""
    return any(part in label for part in _KEPT)


def _kept(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in texts.items() if is_matched_by_servers(key)}


def _time(inner: Mapping[str, Any]) -> str | None:
    return written if isinstance(written := inner.get("creationTimestamp"), str) else None


def _texts(found: object) -> dict[str, str]:
    return {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _json_object(text: object) -> Json:
    """Return what the annotation holds; one that cannot be read says nothing."""
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Json) -> str:
    """Return JSON as Go writes it, so that what did not change is the same text."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
