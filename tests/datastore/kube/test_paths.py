from __future__ import annotations

from typing import Any

import pytest

from datastore.kinds.ipam import BlockAffinity, IPAMConfig
from datastore.kinds.lease import Lease
from datastore.kinds.namespace import Namespace
from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.kinds.secret import Secret
from datastore.kube.paths import collection, is_custom, item, kind_name, selectors, with_query, written_version
from datastore.record import CRD, V3
from datastore.resources import KINDS
from datastore.store import Interest


def test_custom_resources_are_in_calicos_group_and_the_rest_in_the_core() -> None:
    assert collection(IPPool, CRD) == "/apis/crd.projectcalico.org/v1/ippools"
    assert item(IPPool, CRD, "a") == "/apis/crd.projectcalico.org/v1/ippools/a"
    assert collection(Node, CRD) == "/api/v1/nodes"
    assert item(WorkloadEndpoint, CRD, "web-0", "red") == "/api/v1/namespaces/red/pods/web-0"
    assert collection(WorkloadEndpoint, CRD) == "/api/v1/pods"
    assert (
        collection(KINDS["NetworkPolicy"], CRD, "red")
        == "/apis/crd.projectcalico.org/v1/namespaces/red/networkpolicies"
    )
    assert item(Namespace, CRD, "red") == "/api/v1/namespaces/red"
    assert not is_custom(Namespace)
    assert item(Lease, CRD, "a", "red") == "/apis/coordination.k8s.io/v1/namespaces/red/leases/a"
    assert (written_version(Lease, CRD), written_version(IPPool, CRD)) == ("coordination.k8s.io/v1", CRD)
    assert [kind for kind in KINDS.values() if not is_custom(kind)] == [Node, WorkloadEndpoint]


def test_where_the_v3_api_is_served_itself_kinds_have_its_names() -> None:
    assert collection(IPAMConfig, V3) == "/apis/projectcalico.org/v3/ipamconfigurations"
    assert kind_name(IPAMConfig, V3) == "IPAMConfiguration"
    assert (collection(IPPool, V3), kind_name(IPPool, V3)) == ("/apis/projectcalico.org/v3/ippools", "IPPool")
    assert kind_name(IPAMConfig, CRD) == "IPAMConfig"


def test_a_name_is_quoted() -> None:
    assert item(IPPool, CRD, "a/../b?c") == "/apis/crd.projectcalico.org/v1/ippools/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize(
    ("interest", "query"),
    [
        (Interest(IPPool), {}),
        (
            Interest(BlockAffinity, labels={"projectcalico.org/b": "2", "operator.tigera.io/a": "1"}),
            {"labelSelector": "operator.tigera.io/a=1,projectcalico.org/b=2"},
        ),
        (Interest(BlockAffinity, labels={"rack": "a"}), {}),  # libcalico keeps it in an annotation
        (Interest(BlockAffinity, node="n1"), {}),
        (Interest(Node, node="n1"), {"fieldSelector": "metadata.name=n1"}),
        (Interest(WorkloadEndpoint, node="n1", namespace="red"), {"fieldSelector": "spec.nodeName=n1"}),
        (Interest(WorkloadEndpoint, node="n1", name="n1-k8s-w-eth0"), {"fieldSelector": "spec.nodeName=n1"}),
        (Interest(Secret, namespace="kube-system", name="bgp"), {"fieldSelector": "metadata.name=bgp"}),
        (Interest(Node, node="n1", name="n2"), {"fieldSelector": "metadata.name=n2,metadata.name=n1"}),
    ],
)
def test_the_server_filters_what_it_can(interest: Interest[Any], query: dict[str, str]) -> None:
    assert selectors(interest) == query


def test_a_query_is_encoded() -> None:
    assert with_query("/a", {}) == "/a"
    assert with_query("/a", {"labelSelector": "a/b=c,d=e"}) == "/a?labelSelector=a%2Fb%3Dc%2Cd%3De"


def test_the_policies_of_kubernetes_are_in_their_group() -> None:
    assert collection(KubernetesNetworkPolicy, CRD, "shop") == (
        "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
    )
    assert not is_custom(KubernetesNetworkPolicy)
