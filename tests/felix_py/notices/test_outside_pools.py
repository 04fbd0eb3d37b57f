"""What of this node's pods is found to lie in no pool."""

from __future__ import annotations

from datastore.kinds.pools import IPPool
from datastore.names import IPAM
from datastore.record import Resource
from datastore.store import Changed, Gone
from felix_py.notices.outside_pools import outside_notices
from felix_py.snapshot import Snapshot
from tests.felix_py.fake_node import affinity, endpoint, node, pool


def world(*resources: Resource) -> Snapshot:
    snapshot = Snapshot("n1")
    for resource in (node(), pool(), *resources):
        snapshot.fold(Changed(resource))
    return snapshot


def test_what_lies_in_a_pool_is_as_it_should_be() -> None:
    assert list(outside_notices(world(affinity(), endpoint(), endpoint("10.65.9.9/32", name="borrower")))) == []


def test_a_block_whose_pool_is_gone_is_a_notice() -> None:
    snapshot = world(affinity(), endpoint())
    snapshot.fold(Gone(IPPool, "pods"))
    assert [str(notice) for notice in outside_notices(snapshot)] == [
        'IPAMBlock "10.65.1.0/26": it is this node\'s, and no IPPool that can be read holds it; its pods are'
        " routed as before, no more get an address of it, and natOutgoing takes them for destinations outside the"
        " cluster"
    ]


def test_a_pod_in_no_block_and_no_pool_is_a_notice_unless_its_address_is_not_of_ipam() -> None:
    other = endpoint("10.9.9.8/32", name="other").with_metadata(annotations={IPAM: "host-local"})
    [notice] = outside_notices(world(affinity(), endpoint("10.9.9.9/32"), other))
    assert (notice.kind, notice.name) == ("WorkloadEndpoint", "default/n1-k8s-web-eth0")
    assert notice.reason == "no IPPool that can be read holds its 10.9.9.9, nor a block of this node"
    assert notice.effect.startswith("other nodes do not learn a route to it")
