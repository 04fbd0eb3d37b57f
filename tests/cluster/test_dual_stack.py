"""Both families on real nodes: installed by helm, taken away, and installed again by kubectl from the overlay.

n1 192.0.2.1 2001:db8:2::1 ─┐
n2 192.0.2.2 2001:db8:2::2 ─┼─ switch ─ the outside
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.asking import in_pod, on_node
from tests.cluster.cluster import OUTSIDE, OUTSIDE_6, Cluster, cluster
from tests.cluster.image import NAME, archive
from tests.cluster.installation import MANIFESTS, NAMESPACE, TAG, apply, wait_until_ready
from tests.cluster.leftovers import leftovers
from tests.cluster.outside import telling_callers
from tests.cluster.pings import ping_all, running_pods, unanswered
from tests.cluster.workloads import deployment, service
from tests.kube.helm import helm
from tests.runtimes.machine import TREE

pytestmark = pytest.mark.long

NODES, PODS = 2, 6
CHART = TREE / "charts" / "felix-py"
VALUES = {
    "image.repository": NAME,
    "image.tag": TAG,
    "settings.IP6": "autodetect",
    "settings.CALICO_IPV6POOL_NAT_OUTGOING": "true",
}
BOTH = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}
INSTALLED = "daemonsets,deployments,configmaps,serviceaccounts,roles,rolebindings"


@pytest.fixture(scope="module")
def dual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of both families with pods that serve `web`; helm has installed felix-py."""
    folder = tmp_path_factory.mktemp("clusters") / "dual"
    with cluster(folder, NODES, images=(archive(TAG),), dual_stack=True) as made:
        namespaces = made.namespaces()
        options = [f"--set-string={name}={value}" for name, value in VALUES.items()]
        run_helm(made, "install", "felix-py", str(CHART), *options)
        wait_until_ready(made)
        made.kubectl.apply(deployment("web", PODS), service("web", **BOTH))
        made.until("pods are ready", PODS, lambda: len(running_pods(made.kubectl)))
        yield made
    assert leftovers(made, namespaces) == []


def run_helm(made: Cluster, *arguments: str) -> str:
    return helm(*arguments, f"--kubeconfig={made.kubectl.kubeconfig}", f"--namespace={NAMESPACE}")


def unreached(made: Cluster) -> list[str]:
    """Return which pods do not reach one another by which of their addresses, one phrase each."""
    pods = running_pods(made.kubectl)
    return [each for which in range(2) for each in unanswered(pods, ping_all(made.kubectl, pods, which=which))]


def test_every_pod_has_an_address_of_each_family_and_reaches_all_others_by_both(dual: Cluster) -> None:
    pods = running_pods(dual.kubectl)
    assert {pod.node for pod in pods} == set(dual.names)
    assert [":" in address for pod in pods for address in pod.addresses] == PODS * [False, True]
    assert unreached(dual) == []


def test_a_service_has_an_address_of_each_family_and_answers_pods_and_nodes_at_both(dual: Cluster) -> None:
    addresses = dual.kubectl.get("service", "web")["spec"]["clusterIPs"]
    assert [":" in address for address in addresses] == [False, True]
    askers = [in_pod(dual.kubectl, pod) for pod in running_pods(dual.kubectl)]
    askers += map(on_node, dual.nodes.values())
    for address in addresses:
        request = rf"printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 busybox nc {address} 80"
        assert all("web-" in asker(request) for asker in askers)


def test_pods_reach_the_outside_under_their_nodes_address_of_that_family(dual: Cluster) -> None:
    for pod in running_pods(dual.kubectl):
        with telling_callers(dual.outside) as port:
            seen = [
                in_pod(dual.kubectl, pod)(f"nc -w 5 {address} {port} </dev/null").strip()
                for address in (OUTSIDE, OUTSIDE_6)
            ]
        assert seen == [*dual.nodes[pod.node].addresses]


def test_helm_takes_away_what_it_installed_and_pods_go_on_under_what_kubectl_installs(dual: Cluster) -> None:
    run_helm(dual, "uninstall", "felix-py", "--wait")
    assert "felix-py" not in str(dual.kubectl.get(INSTALLED, f"--namespace={NAMESPACE}")["items"])
    before = running_pods(dual.kubectl)
    assert unreached(dual) == []
    apply(dual, TAG, MANIFESTS / "overlays" / "dual-stack")
    wait_until_ready(dual)
    assert running_pods(dual.kubectl) == before
    dual.kubectl("scale", "deployment", "web", f"--replicas={2 * PODS}")
    dual.until("pods are ready", 2 * PODS, lambda: len(running_pods(dual.kubectl)))
    assert unreached(dual) == []
