"""What the watch holds is answered for the very pod that is meant, and for no other of its name."""

from __future__ import annotations

from typing import Any

from cni.attachment import Attachment, PodRef
from cni.endpoint_owner import MIRROR
from cni.known import Known
from datastore.kinds.cluster import ClusterInformation
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.names import NETWORK, workload_endpoint_name
from datastore.store import Changed, Gone, Unreadable

NAME = workload_endpoint_name("n1", "db-0")
OLD, NEW = PodRef("default", "db-0", "old"), PodRef("default", "db-0", "new")


def endpoint(uid: str, container: str | None = None, **more: Any) -> WorkloadEndpoint:
    made = WorkloadEndpoint.make(NAME, namespace="default", node="n1", pod="db-0", containerID=container, **more)
    return made.with_metadata(uid=uid, resource_version="7")


def known(*resources: Any) -> Known:
    found = Known("n1")
    for resource in resources:
        found.observe(Changed(resource))
    return found


def test_a_pod_is_answered_for_by_its_uid_alone_and_without_a_revision() -> None:
    watch = known(endpoint("old"))
    assert watch.endpoint(OLD, "eth0") == endpoint("old").with_metadata(resource_version=None)
    assert watch.endpoint(NEW, "eth0") is None
    assert watch.endpoint(PodRef("default", "db-0"), "eth0") is None
    assert watch.endpoint(OLD, "eth1") is None
    watch.observe(Changed(endpoint("new")))
    assert (watch.endpoint(OLD, "eth0"), watch.endpoint(NEW, "eth0") is not None) == (None, True)


def test_a_pod_of_a_file_is_known_by_the_uid_that_its_kubelet_uses() -> None:
    watch = known(endpoint("of the API", annotations={MIRROR: "of the file"}))
    assert watch.endpoint(PodRef("default", "db-0", "of the file"), "eth0") is not None


def test_what_was_written_counts_until_it_is_reported_or_deleted() -> None:
    watch = known(endpoint("old"))
    watch.wrote(endpoint("old", "c1"))
    watch.observe(Changed(endpoint("old")))  # on its way already when the other was written
    assert (found := watch.endpoint(OLD, "eth0")) and found.spec.container_id == "c1"
    watch.observe(Changed(endpoint("old", "c1")))
    watch.observe(Changed(endpoint("old")))
    assert (found := watch.endpoint(OLD, "eth0")) and not found.spec.container_id
    watch.wrote(endpoint("old", "c2"))
    watch.deletes(endpoint("old", "c2"))
    assert (found := watch.endpoint(OLD, "eth0")) and not found.spec.container_id
    watch.wrote(endpoint("old", "c3"))
    watch.observe(Changed(endpoint("new")))
    assert watch.endpoint(OLD, "eth0") is None


def test_an_attachment_is_answered_for_by_its_network_container_and_device_and_with_a_revision() -> None:
    ours, pod = Attachment("net", "c1", "eth0"), PodRef("default", "db-0")
    named = endpoint("any", "c1", annotations={NETWORK: "net"})
    assert known(named).attached(ours, pod) == named
    for other in (ours._replace(container_id="c2"), ours._replace(network="other"), ours._replace(device="eth1")):
        assert known(named).attached(other, pod) is None
    assert known(endpoint("any")).attached(ours, pod) is None  # it may be any container's
    assert known().attached(ours, pod) is None


def test_what_is_gone_or_cannot_be_read_is_not_known() -> None:
    cluster = ClusterInformation.make("default", datastore_ready=False)
    watch = known(endpoint("old"), Node.make("n1"), Node.make("n2"), cluster)
    assert (watch.node, watch.cluster) == (Node.make("n1"), cluster)
    watch.observe(Gone(Node, "n2"))
    watch.wrote(endpoint("old", "c1"))
    assert watch.node is not None
    for event in (
        Gone(WorkloadEndpoint, NAME, "default"),
        Gone(Node, "n1"),
        Unreadable(ClusterInformation, "default", None, "it cannot be read"),
    ):
        watch.observe(event)
    assert not any((watch.endpoint(OLD, "eth0"), watch.node, watch.cluster))
