"""`felixctl version`."""

from __future__ import annotations

from tests.felixctl.command import Felixctl


def test_the_version_of_the_client_needs_no_cluster(felixctl: Felixctl) -> None:
    ended = felixctl("version", "--client")
    assert (ended.status, ended.out.startswith("Client Version:    v")) == (0, True)


def test_the_version_of_the_cluster_is_what_calico_wrote(felixctl: Felixctl) -> None:
    felixctl(
        "apply",
        "-f",
        "-",
        stdin="""
apiVersion: projectcalico.org/v3
kind: ClusterInformation
metadata: {name: default}
spec: {calicoVersion: v3.32.1, clusterType: "k8s,bgp,kdd", datastoreReady: true}
""",
    )
    ended = felixctl("version")
    assert ended.out.splitlines()[1:] == ["Cluster Version:   v3.32.1", "Cluster Type:      k8s,bgp,kdd"]
