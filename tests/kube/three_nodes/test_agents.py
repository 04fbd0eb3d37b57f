"""Three nodes of a lab whose datastore is a real Kubernetes API: agents, plugin, sidecars and pods as they are."""

from __future__ import annotations

import json
import re

import pytest

from tests.kube.cluster import Cluster
from tests.scenarios.cluster import Refused, until


def test_pods_of_a_real_api_reach_each_other(cluster: Cluster) -> None:
    lab = cluster.lab
    pods = {f"web-{n}": f"n{n}" for n in (1, 2, 3)}
    addresses = {name: cluster.add(name, node) for name, node in pods.items()}
    until(lambda: not lab.lost_pings(), "every pod reaches every other")
    for name, node in pods.items():
        until(lambda name=name: cluster.address_on(name) == f"{addresses[name]}/32", "it is on the pod")  # type: ignore[misc]
        [affinity] = [a for a in cluster.get("blockaffinities")["items"] if a["spec"]["node"] == node]
        assert affinity["spec"]["state"] == "confirmed"
    assert len(cluster.get("ipamhandles")["items"]) == 3
    for name in pods:
        cluster.remove(name)
    assert cluster.get("ipamhandles")["items"] == []
    for node in lab.nodes:
        until(lambda node=node: not re.search(" dev (cali|tap)", lab.routes(node)), "the pods' routes are gone")  # type: ignore[misc]


def test_a_pods_annotations_are_read_from_the_api(cluster: Cluster) -> None:
    cluster.make_pod("asks", "n1", ipAddrs='["10.65.200.7"]')
    assert cluster.lab.ask("pod add", node="n1", pod="asks")["addresses"] == ["10.65.200.7"]
    cluster.remove("asks")
    cluster.make_pod("floats", "n1", floatingIPs='["192.0.2.99"]')
    with pytest.raises(Refused, match="floatingIPs"):
        cluster.lab.ask("pod add", node="n1", pod="floats")
    cluster.delete("floats")


def test_a_node_says_whether_its_pods_get_a_network(cluster: Cluster) -> None:
    """Until the agent is asked to end; and again when a cloud's controller says that it lacks a route of its own."""

    def said() -> list[str]:
        conditions = cluster.get("node", "n2")["status"]["conditions"]
        return [one["status"] + one["reason"] for one in conditions if one["type"] == "NetworkUnavailable"]

    until(lambda: said() == ["FalseCalicoIsUp"], "pods are scheduled on n2")
    by_cloud = {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated", "message": "none"}
    patch = json.dumps({"status": {"conditions": [by_cloud]}})
    cluster.kubectl("patch", "node", "n2", "--subresource=status", "-p", patch)
    until(lambda: said() == ["FalseCalicoIsUp"], "pods are scheduled on n2 again")
    requests = cluster.requests()["patch nodes"]
    cluster.lab.run("n2", "sh", "-c", "kill -TERM $(pgrep --ns $$ --nslist net -f -- '[-]m felix_py')")
    until(lambda: cluster.requests()["patch nodes"] >= requests + 2, "the agent has said that it ends, and is back")
    until(lambda: said() == ["FalseCalicoIsUp"], "pods are scheduled on n2 once more")
    until(cluster.lab.settled, "the agent is back")


@pytest.mark.parametrize(("node", "prefix"), [("n1", "cali"), ("n3", "tap")])
def test_what_an_agent_finds_after_its_end_is_what_it_left(cluster: Cluster, node: str, prefix: str) -> None:
    """Also where the pod's record has to say how its device is called."""
    lab = cluster.lab
    address = cluster.add("left", node)
    until(lambda: cluster.address_on("left"), "the pod is written to")
    before = lab.routes(node)
    assert f"{address} dev {prefix}" in before
    lab.ask("kill", node=node, what="agent")
    until(lab.settled, "the agent is back")
    assert lab.routes(node) == before
    cluster.remove("left")


def test_a_pod_costs_three_requests_and_three_more_when_it_ends(cluster: Cluster) -> None:
    """However often its DEL is repeated: the lab sends each twice, as runtimes do."""
    cluster.add("first", "n2")  # claims nothing that the next pod needs to
    until(lambda: cluster.address_on("first"), "the pod is written to")
    before = cluster.requests()
    cluster.add("counted", "n2")
    until(lambda: cluster.requests()["patch pods"] > before["patch pods"], "the pod is written to")
    assert cluster.requests() - before == {"create ipamhandles": 1, "update ipamblocks": 1, "patch pods": 1}
    before = cluster.requests()
    cluster.lab.ask("pod del", pod="counted")
    until(lambda: cluster.requests()["delete ipamhandles"] > before["delete ipamhandles"], "the handle is deleted")
    assert cluster.requests() - before == {"patch pods": 1, "update ipamblocks": 1, "delete ipamhandles": 1}
    cluster.delete("counted")
    cluster.remove("first")


def test_an_agent_that_ends_before_it_wrote_on_a_pod_leaves_that_to_the_next(cluster: Cluster) -> None:
    """No ADD waits for what is written on its pod; until it is written the pod has its route, and it is repeated."""
    lab = cluster.lab
    with cluster.agents_may_not_write_on_pods():
        address, of_gone = cluster.add("untold", "n1"), cluster.add("gone", "n1")
        refused = "the role of this account lacks it"
        until(lambda: refused in lab.run("n1", "cat", "/var/log/agent.log"), "what is written is refused")
        before = lab.routes("n1")
        assert address in before
        lab.ask("kill", node="n1", what="agent")
        until(lab.settled, "the agent is back")
        assert lab.routes("n1") == before
        cluster.delete("gone")
        cluster.make_pod("gone", "n1")
        assert cluster.address_on("untold") is None
    until(lambda: cluster.address_on("untold") == f"{address}/32", "its address is written on the pod")
    lab.ask("pod del", pod="gone")
    assert of_gone not in lab.routes("n1")
    assert cluster.address_on("gone") is None
    cluster.delete("gone")
    cluster.remove("untold")
    assert cluster.get("ipamhandles")["items"] == []


def test_a_pod_whose_name_returns_has_its_own_annotations(cluster: Cluster) -> None:
    cluster.make_pod("db-0", "n1", ipAddrs='["10.65.201.1"]')
    old = cluster.get("pod", "db-0")["metadata"]["uid"]
    assert cluster.lab.ask("pod add", node="n1", pod="db-0", uid=old)["addresses"] == ["10.65.201.1"]
    cluster.remove("db-0")
    cluster.make_pod("db-0", "n1", ipAddrs='["10.65.201.2"]')
    new = cluster.get("pod", "db-0")["metadata"]["uid"]
    assert cluster.lab.ask("pod add", node="n1", pod="db-0", uid=new)["addresses"] == ["10.65.201.2"]
    cluster.remove("db-0")


def test_a_policy_that_nothing_enforces_is_said_by_each_agent(cluster: Cluster) -> None:
    """Kubernetes' own kind as well as Calico's."""
    name = "denies-all"
    spec: dict[str, object] = {"podSelector": {}, "policyTypes": ["Ingress"]}
    metadata = {"name": name, "namespace": "default"}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    cluster.apply(policy)
    cluster.apply({**policy, "apiVersion": "crd.projectcalico.org/v1", "spec": {"selector": "all()"}})

    def said(node: str) -> set[str]:
        found = cluster.lab.page(node, "status")["notices"]
        return {one["kind"] for one in found if one["name"] == f"default/{name}"}

    both = {"KubernetesNetworkPolicy", "NetworkPolicy"}
    for node in cluster.lab.nodes:
        until(lambda node=node: said(node) == both, "the agent says that they are not enforced")  # type: ignore[misc]
    log = [line for line in cluster.lab.run("n1", "cat", "/var/log/agent.log").splitlines() if name in line]
    assert ["policies are not enforced" in line for line in log] == [True, True], "each is said once"
    cluster.kubectl("delete", "networkpolicies.networking.k8s.io", name)
    cluster.kubectl("delete", "networkpolicies.crd.projectcalico.org", name)
    until(lambda: not said("n1"), "what is gone is said no more")


def test_a_lock_of_the_datastore_is_obeyed_as_soon_as_it_is_reported(cluster: Cluster) -> None:
    ready = '{"spec": {"datastoreReady": %s}}'
    cluster.kubectl("patch", "clusterinformations", "default", "--type=merge", "-p", ready % "false")
    until(lambda: "datastoreReady false" in cluster.tried("n1"), "no address is given")
    cluster.kubectl("patch", "clusterinformations", "default", "--type=merge", "-p", ready % "true")
    until(lambda: cluster.tried("n1").startswith("10.65."), "addresses are given again")


def test_an_api_server_that_hangs_harms_no_running_pod(cluster: Cluster) -> None:
    lab = cluster.lab
    cluster.add("one", "n1")
    cluster.add("two", "n2")
    cluster.make_pod("three", "n3")
    uid = cluster.get("pod", "three")["metadata"]["uid"]
    until(lambda: not lab.lost_pings(), "the pods reach each other")
    routes = {node: lab.routes(node) for node in lab.nodes}
    with cluster.log_of("n2") as log2, cluster.log_of("n3") as log3:
        cluster.signal_api_server("STOP")
        try:
            with pytest.raises(Refused, match=r"11|later"):
                lab.ask("pod add", node="n3", pod="three", uid=uid)
            lab.ask("pod del", pod="two")
            for log, answered in ((log2, "journaled, to be done when the datastore is back"), (log3, "(code 11)")):
                until(lambda log=log: "; it is tried again" in log(), "the connection is given up")  # type: ignore[misc]
                assert answered in log().partition("; it is tried again")[0]
            with pytest.raises(Refused, match=r"11|later"):
                lab.ask("pod add", node="n3", pod="three", uid=uid)
            assert lab.routes("n1") == routes["n1"]
        finally:
            cluster.signal_api_server("CONT")
    until(lambda: len(cluster.get("ipamhandles")["items"]) == 1, "the deletion is carried out")
    cluster.attach("three", "n3")
    until(lambda: not lab.lost_pings(), "the new pod is reached")
    cluster.remove("one")
    cluster.remove("three")


def test_an_api_server_that_is_killed_is_found_again(cluster: Cluster) -> None:
    lab = cluster.lab
    cluster.add("one", "n1")
    cluster.signal_api_server("KILL")
    until(lambda: "n1" in cluster.kubectl("get", "nodes", check=False), "the API server is back")
    cluster.make_pod("two", "n2")
    cluster.attach("two", "n2")
    until(lambda: not lab.lost_pings(), "the new pod is reached")
    cluster.remove("one")
    cluster.remove("two")


def test_the_namespace_of_a_pod_chooses_pools(cluster: Cluster) -> None:
    """By its labels, where a pool selects Namespaces, and by its annotation, which selectors do not restrict."""
    reds = {
        "apiVersion": "crd.projectcalico.org/v1",
        "kind": "IPPool",
        "metadata": {"name": "reds"},
        "spec": {"cidr": "10.66.0.0/24", "namespaceSelector": 'colour == "red"', "allowedUses": ["Workload"]},
    }
    cluster.apply(reds)
    by_default = '{"spec": {"assignmentMode": "%s"}}'
    cluster.kubectl("patch", "ippools", "pods", "--type=merge", "-p", by_default % "Manual")
    until(lambda: "none of reds selects the pod's namespace" in cluster.tried("n1"), "no pool selects the Namespace")
    cluster.kubectl("label", "namespace", "default", "colour=red")
    until(lambda: cluster.tried("n1").startswith("10.66.0."), "the pool selects the Namespace")
    assert "namespaceSelector" not in json.dumps(cluster.lab.page("n1", "status")["notices"])
    cluster.kubectl("annotate", "namespace", "default", 'cni.projectcalico.org/ipv4pools=["pods"]')
    until(lambda: cluster.tried("n1").startswith("10.65."), "the Namespace names the pool")
    assert cluster.tried("n1", ipv4pools='["reds"]').startswith("10.66.0.")
    cluster.kubectl("annotate", "namespace", "default", "cni.projectcalico.org/ipv4pools-")
    cluster.kubectl("label", "namespace", "default", "colour-")
    cluster.kubectl("patch", "ippools", "pods", "--type=merge", "-p", by_default % "Automatic")
    until(lambda: cluster.tried("n1").startswith("10.65."), "all is as before")
