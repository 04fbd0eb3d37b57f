"""Nothing that a user writes is ignored in silence: the command that writes it, the agent's status and its metrics."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import Lab, lab_of, three_nodes, until

FELIXCTL = f"FELIX_DATASTORE=sqlite:///srv/felix/cluster.db {sys.executable} -m felixctl"
WRITTEN = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: filtered}
spec: {peerIP: 192.0.2.2, node: n1, asNumber: 64512, filters: [reject-all]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: deny-all, namespace: default}
spec: {types: [Ingress]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """n1 and n2, with a misspelt setting."""
    spec = three_nodes(FELIX_METRICK="700")
    with lab_of({**spec, "nodes": spec["nodes"][:2]}, tmp_path_factory.mktemp("notices")) as lab:
        yield lab


def shell(lab: Lab, command: str) -> str:
    return lab.run("n1", "sh", "-c", f"exec 2>&1\n{command}")


def test_what_is_written_and_not_obeyed_is_reported_and_a_filtered_session_goes_down(lab: Lab) -> None:
    assert "no setting of this name is known" in shell(lab, f"{FELIXCTL} node status")

    printed = shell(lab, f"{FELIXCTL} apply -f - <<'END'\n{WRITTEN}\nEND")
    assert 'notice: BGPPeer "filtered" spec.filters: BGP filters are not implemented' in printed
    assert 'notice: NetworkPolicy "default/deny-all": policies are not enforced' in printed

    until(lambda: [peer["state"] for peer in lab.page("n1", "status")["peers"]] == ["held back"], "n1 holds it back")
    status = shell(lab, f"{FELIXCTL} node status")
    assert "| held back | " in status
    assert 'BGPPeer "filtered" spec.filters: BGP filters are not implemented; the session is not brought up' in status
    assert 'NetworkPolicy "default/deny-all": policies are not enforced' in status

    shell(lab, f"{FELIXCTL} delete bgppeer filtered && {FELIXCTL} delete networkpolicy deny-all")
    until(lab.settled, "the session is back")
    assert "filter" not in shell(lab, f"{FELIXCTL} node status")
