"""`yes` and `off` without quotes are booleans for fields that take one, and texts for all others."""

from __future__ import annotations

import pytest

from felixctl.resources import plan
from felixctl.resources.documents import read, to_yaml
from felixctl.resources.manifests import manifests_in
from felixctl.resources.plan import ClusterState
from tests.felixctl.command import Felixctl
from tests.felixctl.resources.examples import pool

FILE = """
apiVersion: projectcalico.org/v3
kind: {kind}
metadata: {{name: "no", labels: {{yes: on, n: "off"}}}}
spec: {spec}
"""


def written(kind: str, spec: str) -> dict[str, object]:
    [step] = plan.applied(
        manifests_in(read(FILE.format(kind=kind, spec=spec), "f").documents).manifests, ClusterState({})
    )
    record = step.resource.to_json()
    assert record["metadata"]["labels"] == {"yes": "on", "n": "off"}
    assert "on" in to_yaml(record)
    found = record["spec"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("kind", "spec", "meant"),
    [
        ("IPPool", "{cidr: 10.0.0.0/16, natOutgoing: yes}", {"cidr": "10.0.0.0/16", "natOutgoing": True}),
        ("BGPConfiguration", "{nodeToNodeMeshEnabled: Off}", {"nodeToNodeMeshEnabled": False}),
        ("BGPPeer", "{node: y, keepOriginalNextHop: n}", {"node": "y", "keepOriginalNextHop": False}),
        (
            "BGPPeer",
            "{password: {secretKeyRef: {name: on, key: y, optional: y}}}",
            {"password": {"secretKeyRef": {"name": "on", "key": "y", "optional": True}}},
        ),
        ("BGPPeer", "{filters: [on, no]}", {"filters": ["on", "no"]}),
        ("IPPool", "{cidr: 10.0.0.0/16, blockSize: 0x1A}", {"cidr": "10.0.0.0/16", "blockSize": 26}),
        ("BGPConfiguration", "{listenPort: +179}", {"listenPort": 179}),
        ("Tier", "{defaultAction: on}", {"defaultAction": "on"}),
    ],
)
def test_the_field_decides(kind: str, spec: str, meant: dict[str, object]) -> None:
    assert written(kind, spec) == meant


def test_a_word_in_quotes_is_a_text_and_in_a_patch_the_field_decides_too(felixctl: Felixctl) -> None:
    quoted = felixctl("apply", "-f", "-", stdin=pool("a", "10.0.0.0/16", '  natOutgoing: "yes"\n'))
    assert 'spec.natOutgoing "yes" is not true or false' in quoted.err
    felixctl("apply", "-f", "-", stdin=pool("a", "10.0.0.0/16"))
    assert felixctl("patch", "ippool", "a", "-p", "spec: {disabled: on}").status == 0
    assert "disabled: true" in felixctl("get", "ippool", "a", "-o", "yaml").out
