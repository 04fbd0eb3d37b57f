"""Records that are plainly valid, told from others without pydantic: whoever prints a table needs no more of them.

Pure, and of the standard library only. What is in any way odd is left to the kind's own reader, which alone says what
is wrong with it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Any, NamedTuple

Json = dict[str, Any]
Check = Callable[[Any], bool]

CUSTOM = ("crd.projectcalico.org/v1", "projectcalico.org/v3")
MOST_OPENED = 150
"""Of brackets and braces: a record with more may be nested more deeply than the kind's reader takes."""

_NAME = re.compile(r"[a-z0-9._-]{1,253}", re.ASCII)
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}(?:/32)?", re.ASCII)


class Shape(NamedTuple):
    """What a record of a kind plainly is. Fields that are not named here may hold anything."""

    spec: Mapping[str, Check] = {}
    """The fields of the spec that the kind declares, and how a value that is plainly right is known."""
    required: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = CUSTOM
    namespaced: bool = False


def plain_record(kind_name: str, text: str) -> Json | None:
    """Return the decoded record, as a reader of its kind would write it back. None: it is not plainly valid."""
    shape = SHAPES.get(kind_name)
    if shape is None or "\\u" in text or text.count("{") + text.count("[") > MOST_OPENED:
        return None
    try:
        record = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return record if _is_plain(record, kind_name, shape) else None


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    if not math.isfinite(found := float(number)):
        raise ValueError(f"{number} is more than a float can be")
    return found


_DECODER = json.JSONDecoder(parse_constant=_not_json, parse_float=_finite)


def _is_plain(record: Any, kind_name: str, shape: Shape) -> bool:
    if not isinstance(record, dict):
        return False
    spec = record.get("spec", {})
    return (
        record.get("kind", kind_name) == kind_name
        and record.get("apiVersion", shape.api_versions[0]) in shape.api_versions
        and _is_metadata(record.get("metadata"), namespaced=shape.namespaced)
        and isinstance(spec, dict)
        and all(name in spec for name in shape.required)
        and all(name not in shape.spec or shape.spec[name](value) for name, value in spec.items())
    )


def _is_metadata(found: Any, *, namespaced: bool) -> bool:
    return (
        isinstance(found, dict)
        and "name" in found
        and all(name not in _METADATA or _METADATA[name](value) for name, value in found.items())
        and (not namespaced or bool(found.get("namespace")))
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_named_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(type(count) is int for count in value.values())


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _are_single_addresses(value: Any) -> bool:
    return _are_texts(value) and all(map(_is_single_address, value))


def _is_single_address(text: str) -> bool:
    """Whether a text is an address, alone or as /32 or /128."""
    if ":" not in text:
        return _IPV4.fullmatch(text) is not None
    try:
        address = IPv6Address(text.removesuffix("/128"))
    except ValueError:
        return False
    return address.scope_id is None


def _is_empty(value: Any) -> bool:
    return isinstance(value, list) and not value


_METADATA: Mapping[str, Check] = {
    "name": _is_name,
    "labels": _are_named_texts,
    "annotations": _are_named_texts,
    "finalizers": _are_texts,
    **dict.fromkeys(("namespace", "resourceVersion", "uid", "creationTimestamp", "deletionTimestamp"), _is_text),
}
SHAPES: Mapping[str, Shape] = {
    "ClusterInformation": Shape(
        {
            **dict.fromkeys(("clusterGUID", "clusterType", "calicoVersion", "variant"), _is_text),
            "datastoreReady": _is_flag,
        }
    ),
    "Node": Shape({"podCIDR": _is_text, "podCIDRs": _are_texts}, api_versions=("v1", CUSTOM[1])),
    "WorkloadEndpoint": Shape(
        {
            **dict.fromkeys(("orchestrator", "node", "workload", "containerID", "pod", "endpoint"), _is_text),
            **dict.fromkeys(("serviceAccountName", "ipv4Gateway", "ipv6Gateway", "interfaceName", "mac"), _is_text),
            "profiles": _are_texts,
            "ipNetworks": _are_single_addresses,
            "allowedSourcePrefixes": _is_empty,
        },
        required=("node",),
        api_versions=CUSTOM[1:],
        namespaced=True,
    ),
    "IPAMHandle": Shape(
        {"handleID": _is_text, "block": _are_counts, "deleted": _is_flag}, required=("handleID", "block")
    ),
    **dict.fromkeys(("CalicoNodeStatus", "HostEndpoint", "KubeControllersConfiguration", "Tier"), Shape()),
    **dict.fromkeys(("GlobalNetworkPolicy", "GlobalNetworkSet", "StagedGlobalNetworkPolicy"), Shape()),
    **dict.fromkeys(("NetworkPolicy", "StagedNetworkPolicy"), Shape(namespaced=True)),
    **dict.fromkeys(("NetworkSet", "StagedKubernetesNetworkPolicy"), Shape(namespaced=True)),
}
