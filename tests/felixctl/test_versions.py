"""`felixctl version`."""

from __future__ import annotations

from importlib.metadata import version

from felixctl import versions
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


def test_the_version_of_the_client_is_the_installed_distributions() -> None:
    assert versions.client_version() == f"v{version('felix-py')}"


def test_a_cluster_that_no_agent_has_started_in_has_no_version(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin="{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}")
    assert felixctl("version").out.splitlines()[1:] == [
        "Cluster Version:   unknown: no agent has started with this datastore yet"
    ]
