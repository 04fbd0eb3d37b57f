"""manifests/crds/crds.yaml, made from the kinds of resource: `python -m tests.definitions` writes it.

A schema holds what the kind's reader demands; what it does not name is kept, as other versions of Calico write it.
What needs more than one value is in RULES, in the API server's own language (CEL).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from datastore.kinds.ipam import IPAMHandle
from datastore.kube.handle_table import COLUMNS
from datastore.kube.paths import is_custom
from datastore.record import CRD, Resource
from datastore.resources import KINDS

PATH = Path(__file__).parents[1] / "manifests" / "crds" / "crds.yaml"

_HEAD = """\
# Calico's custom resources in the group crd.projectcalico.org, as felix-py reads and writes them.
# A cluster that has Calico has its own definitions of them: leave those as they are, and this file out.
# Written by `python -m tests.definitions`, from the kinds of resource in datastore/kinds.
"""

RULES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "IPPool": (
        ("self.cidr == oldSelf.cidr", "cidr cannot be changed: make another pool and disable this one"),
        (
            "has(self.blockSize) == has(oldSelf.blockSize)"
            " && (!has(self.blockSize) || self.blockSize == oldSelf.blockSize)",
            "blockSize cannot be changed: make another pool and disable this one",
        ),
        (
            "!has(self.ipipMode) || !has(self.vxlanMode) || self.ipipMode == 'Never' || self.vxlanMode == 'Never'",
            "ipipMode and vxlanMode exclude each other",
        ),
    ),
    "BGPPeer": (
        (
            "!(has(self.node) && self.node != '' && has(self.nodeSelector) && self.nodeSelector != '')",
            "node and nodeSelector exclude each other",
        ),
        (
            "!(has(self.peerIP) && self.peerIP != '' && has(self.peerSelector) && self.peerSelector != '')",
            "peerIP and peerSelector exclude each other",
        ),
    ),
}
"""For each kind: what must hold for its spec, and the sentence for whoever broke it."""


def definitions() -> Iterator[dict[str, Any]]:
    """Yield the definition of each custom resource."""
    group, _, version = CRD.partition("/")
    for kind in KINDS.values():
        if is_custom(kind):
            yield {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{kind.PLURAL}.{group}"},
                "spec": {
                    "group": group,
                    "names": {
                        "kind": kind.KIND,
                        "listKind": f"{kind.KIND}List",
                        "plural": kind.PLURAL,
                        "singular": kind.KIND.lower(),
                    },
                    "scope": "Namespaced" if kind.NAMESPACED else "Cluster",
                    "versions": [
                        {
                            "name": version,
                            "served": True,
                            "storage": True,
                            "schema": {"openAPIV3Schema": _schema(kind)},
                            **({"additionalPrinterColumns": list(_handle_columns())} if kind is IPAMHandle else {}),
                        }
                    ],
                },
            }


def _handle_columns() -> Iterator[dict[str, Any]]:
    """Yield the columns of a table of handles, which is all that is read of many (datastore.kube.handle_table)."""
    for name, path in COLUMNS.items():
        kind = "boolean" if name == "Deleted" else "string"
        yield {"name": name, "type": kind, "jsonPath": path, **({"priority": 1} if name == "Revision" else {})}


def text() -> str:
    """Return manifests/crds/crds.yaml."""
    return _HEAD + "".join(f"---\n{yaml.safe_dump(each, sort_keys=False, width=118)}" for each in definitions())


def _schema(kind: type[Resource]) -> dict[str, Any]:
    described = kind.SPEC.model_json_schema(by_alias=True)
    spec = _structural(described, described.get("$defs", {}))
    if rules := RULES.get(kind.KIND):
        spec["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    return {"type": "object", "properties": properties}


def _structural(described: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as the API server takes one: no references, no alternatives but null and int-or-text."""
    if reference := described.get("$ref"):
        return _structural(named[reference.rpartition("/")[2]], named)
    if alternatives := described.get("anyOf"):
        rest = [each for each in alternatives if each.get("type") != "null"]
        nullable = {"nullable": True} if len(rest) < len(alternatives) else {}
        if {each.get("type") for each in rest} == {"integer", "string"}:
            return {"x-kubernetes-int-or-string": True, **nullable}
        [only] = rest
        return {**_structural(only, named), **nullable}
    kept = ("type", "minimum", "maximum", "maxLength", "minLength", "maxItems", "minItems")
    found: dict[str, Any] = {key: described[key] for key in kept if key in described}
    if "const" in described:
        found["enum"] = [described["const"]]
    if "enum" in described:
        found["enum"] = list(described["enum"])
    if items := described.get("items"):
        found["items"] = _structural(items, named)
    if isinstance(of := described.get("additionalProperties"), dict):
        found["additionalProperties"] = _structural(of, named)
    elif found.get("type") == "object":
        # Of none there is no mention: the API server keeps none, and who applies them again would not agree with it.
        if fields := {k: _structural(v, named) for k, v in described.get("properties", {}).items()}:
            found["properties"] = fields
        found["x-kubernetes-preserve-unknown-fields"] = True
        if required := described.get("required"):
            found["required"] = list(required)
    return found


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(text())
