"""The snapshot: which event concerns what, and that late ones never undo what the agent has just done itself."""

from __future__ import annotations

import pytest

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import ClusterInformation, FelixConfiguration
from datastore.kinds.ipam import BlockAffinity
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.pools import IPPool
from datastore.store import Changed, Gone, InSync, Unreadable
from felix_py.snapshot import Endpoint, EndpointKey, Snapshot
from felix_py.topics import Topic
from net.prefix import Prefix

KEY = EndpointKey("default", "n1-k8s-web-eth0")


def endpoint(container: str, address: str = "10.65.1.2/32", node: str = "n1") -> WorkloadEndpoint:
    return WorkloadEndpoint.make(
        KEY.name,
        namespace=KEY.namespace,
        node=node,
        orchestrator="k8s",
        pod="web",
        endpoint="eth0",
        containerID=container,
        interfaceName="cali0",
        ipNetworks=[address],
    )


def affinity(cidr: str, node: str = "n1", state: str = "confirmed") -> BlockAffinity:
    name = f"{node}-{cidr.replace('.', '-').replace('/', '-')}"
    return BlockAffinity.make(name, cidr=cidr, node=node, state=state, type="host", deleted="false")


def test_only_this_nodes_pods_count() -> None:
    snapshot = Snapshot("n1")
    assert snapshot.fold(Changed(endpoint("a", node="n2"))) == Topic.NOTHING
    assert snapshot.fold(Changed(endpoint("a"))) & Topic.PODS
    assert snapshot.take_changed() == {KEY}
    assert snapshot.endpoints[KEY].addresses == (Prefix.parse("10.65.1.2/32"),)


def test_the_same_event_twice_changes_nothing() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(endpoint("a")))
    snapshot.take_changed()
    assert snapshot.fold(Changed(endpoint("a"))) == Topic.NOTHING
    assert not snapshot.take_changed()


def test_late_events_of_the_old_sandbox_do_not_undo_an_attach() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("new", "10.65.1.9/32")))
    snapshot.fold(Changed(endpoint("old")))
    snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace))
    assert snapshot.endpoints[KEY].container_id == "new"


OLD, NEW = endpoint("old", "10.65.1.2/32"), endpoint("new", "10.65.1.9/32")
STALE = endpoint("new", "10.65.1.2/32")
"""A pod's status until its kubelet has written the new addresses, after the agent has named the container."""


def attached_after_another(*, detached: bool = False, reported_late: bool = False) -> Snapshot:
    """Return a snapshot that awaits NEW, where OLD was before."""
    snapshot = Snapshot("n1")
    if not reported_late:
        snapshot.fold(Changed(OLD))
    if detached:
        snapshot.detach(KEY, "old")
    snapshot.attach(Endpoint.of(NEW))
    if reported_late:
        snapshot.fold(Changed(OLD))
    return snapshot


@pytest.mark.parametrize("how", [{}, {"detached": True}, {"reported_late": True}])
def test_addresses_of_the_old_sandbox_under_the_new_ones_name_do_not_undo_an_attach(how: dict[str, bool]) -> None:
    snapshot = attached_after_another(**how)
    assert snapshot.fold(Changed(STALE)) == Topic.NOTHING
    assert snapshot.endpoints[KEY] == Endpoint.of(NEW)
    assert snapshot.awaits(KEY)
    snapshot.fold(Changed(NEW))
    assert not snapshot.awaits(KEY)
    assert snapshot.fold(Changed(STALE)) & Topic.PODS, "it is the datastore's word by now"


def test_a_pod_that_is_taken_up_keeps_its_addresses_while_the_status_is_of_the_sandbox_before() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(STALE))
    snapshot.attach(Endpoint.of(NEW))
    assert snapshot.fold(Changed(STALE)) == Topic.NOTHING
    assert snapshot.endpoints[KEY] == Endpoint.of(NEW)


def test_addresses_of_any_sandbox_before_do_not_undo_an_attach() -> None:
    snapshot = attached_after_another()
    snapshot.attach(Endpoint.of(endpoint("newer", "10.65.1.20/32")))
    for late in ("10.65.1.2/32", "10.65.1.9/32"):
        assert snapshot.fold(Changed(endpoint("newer", late))) == Topic.NOTHING


def test_addresses_that_no_sandbox_before_had_are_believed_at_once() -> None:
    snapshot, other = attached_after_another(), endpoint("new", "10.65.1.77/32")
    assert snapshot.fold(Changed(other)) & Topic.PODS
    assert snapshot.endpoints[KEY] == Endpoint.of(other)
    assert not snapshot.awaits(KEY)


def test_a_new_sandbox_may_have_the_addresses_of_the_old_one() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(OLD))
    snapshot.attach(Endpoint.of(STALE))
    snapshot.fold(Changed(STALE))
    assert not snapshot.awaits(KEY)


def test_the_end_of_the_awaited_sandbox_ends_the_wait() -> None:
    snapshot = attached_after_another()
    snapshot.fold(Changed(STALE))
    assert snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace, OLD)) == Topic.NOTHING
    assert snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace, STALE)) & Topic.PODS
    assert KEY not in snapshot.endpoints
    assert not snapshot.awaits(KEY)


def test_once_the_datastore_has_reported_an_attach_back_it_decides() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("new")))
    snapshot.fold(Changed(endpoint("new")))
    assert snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace)) & Topic.PODS
    assert KEY not in snapshot.endpoints


def test_a_late_event_of_a_detached_pod_does_not_bring_it_back() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("a")))
    snapshot.detach(KEY, "a")
    assert snapshot.fold(Changed(endpoint("a"))) == Topic.NOTHING
    assert KEY not in snapshot.endpoints
    snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace))
    snapshot.fold(Changed(endpoint("b")))
    assert snapshot.endpoints[KEY].container_id == "b"


def test_the_end_of_an_older_sandbox_does_not_bring_back_the_one_just_detached() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("b")))
    snapshot.detach(KEY, "b")
    snapshot.fold(Gone(WorkloadEndpoint, KEY.name, KEY.namespace, endpoint("a")))
    assert snapshot.fold(Changed(endpoint("b"))) == Topic.NOTHING
    assert KEY not in snapshot.endpoints


def test_detaching_an_old_sandbox_leaves_the_new_one() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("new")))
    snapshot.detach(KEY, "old")
    assert snapshot.endpoints[KEY].container_id == "new"


def test_an_address_is_outside_own_blocks_while_none_of_them_has_it() -> None:
    snapshot, own = Snapshot("n1"), affinity("10.65.1.0/26")
    assert snapshot.attach(Endpoint.of(endpoint("a"))) & Topic.BORROWED
    assert snapshot.addresses_outside_own_blocks() == (Prefix.parse("10.65.1.2/32"),)
    snapshot.fold(Changed(own))
    assert snapshot.addresses_outside_own_blocks() == ()
    assert snapshot.attach(Endpoint.of(endpoint("b", "10.65.1.3/32"))) == Topic.PODS
    snapshot.fold(Gone(BlockAffinity, own.name, None, own))
    assert snapshot.addresses_outside_own_blocks() == (Prefix.parse("10.65.1.3/32"),)
    assert snapshot.detach(KEY, "b") & Topic.BORROWED
    assert snapshot.addresses_outside_own_blocks() == ()


CLAIMED = Prefix.parse("10.65.1.0/26")


def test_an_address_in_a_block_that_was_just_claimed_for_it_is_not_borrowed() -> None:
    snapshot = Snapshot("n1")
    assert snapshot.attach(Endpoint.of(endpoint("a")), lambda: [CLAIMED]) == Topic.PODS
    assert snapshot.addresses_outside_own_blocks() == ()
    assert snapshot.fold(Changed(affinity(str(CLAIMED)))) == Topic.BLOCKS
    assert snapshot.fold(Changed(endpoint("a"))) == Topic.NOTHING
    assert snapshot.addresses_outside_own_blocks() == ()


def test_a_claim_that_was_not_reported_before_its_endpoint_is_none() -> None:
    snapshot, address = Snapshot("n1"), Prefix.parse("10.65.1.2/32")
    snapshot.attach(Endpoint.of(endpoint("a")), lambda: [CLAIMED])
    assert snapshot.fold(Changed(endpoint("a"))) == Topic.BORROWED
    assert snapshot.addresses_outside_own_blocks() == (address,)
    assert snapshot.attach(Endpoint.of(endpoint("b", "10.65.9.9/32")), lambda: [CLAIMED]) & Topic.BORROWED


def test_whether_a_block_was_claimed_is_asked_only_of_addresses_outside_own_blocks() -> None:
    def asked() -> list[Prefix]:
        raise AssertionError("asked")

    snapshot = Snapshot("n1")
    snapshot.fold(Changed(affinity(str(CLAIMED))))
    assert snapshot.attach(Endpoint.of(endpoint("a")), asked) == Topic.PODS


def test_only_confirmed_affinities_of_this_node_are_own_blocks() -> None:
    snapshot = Snapshot("n1")
    for event in (
        affinity("10.65.1.0/26"),
        affinity("10.65.2.0/26", state="pending"),
        affinity("10.65.3.0/26", node="n2"),
        affinity("10.65.0.64/26", state=""),
    ):
        snapshot.fold(Changed(event))
    assert [str(block) for block in snapshot.own_blocks()] == ["10.65.0.64/26", "10.65.1.0/26"]


def test_a_heartbeat_of_a_node_does_not_concern_the_sessions() -> None:
    snapshot = Snapshot("n1")
    node = Node.make("n2", annotations={"projectcalico.org/IPv4Address": "192.0.2.2/24"})
    assert snapshot.fold(Changed(node)) == Topic.NODES
    assert snapshot.fold(Changed(node.with_metadata(resource_version="7"))) == Topic.NOTHING
    moved = node.with_metadata(annotations={"projectcalico.org/IPv4Address": "192.0.2.9/24"})
    assert snapshot.fold(Changed(moved)) == Topic.NODES
    assert snapshot.fold(Gone(Node, "n2")) == Topic.NODES


def test_a_node_in_its_v3_form_that_moves_concerns_the_sessions() -> None:
    snapshot = Snapshot("n1")
    assert snapshot.fold(Changed(Node.make("n2", bgp={"ipv4Address": "192.0.2.2/24"}))) == Topic.NODES
    same = Node.make("n2", bgp={"ipv4Address": "192.0.2.2/24"}, taints=[{"key": "cordoned"}])
    assert snapshot.fold(Changed(same)) == Topic.NOTHING
    assert snapshot.fold(Changed(Node.make("n2", bgp={"ipv4Address": "192.0.2.9/24"}))) == Topic.NODES


def test_everything_is_due_when_the_datastore_is_in_sync_for_the_first_time() -> None:
    snapshot = Snapshot("n1")
    assert snapshot.fold(InSync()) == Topic.EVERYTHING & ~Topic.HELD
    assert snapshot.fold(InSync()) == Topic.NOTHING


def test_an_address_in_no_own_block_is_borrowed_and_one_inside_is_not() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(affinity("10.65.1.0/26")))
    assert snapshot.attach(Endpoint.of(endpoint("a"))) == Topic.PODS
    assert snapshot.detach(KEY, "a") == Topic.PODS
    assert snapshot.attach(Endpoint.of(endpoint("b", "10.65.9.9/32"))) == Topic.PODS | Topic.BORROWED
    assert snapshot.detach(KEY, "b") == Topic.PODS | Topic.BORROWED


def test_a_pod_attached_again_as_it_was_is_looked_at_again() -> None:
    snapshot = Snapshot("n1")
    snapshot.attach(Endpoint.of(endpoint("a")))
    snapshot.take_changed()
    snapshot.attach(Endpoint.of(endpoint("a")))
    assert snapshot.take_changed() == {KEY}


def test_a_pod_whose_record_was_there_before_it_was_attached_is_awaited_no_more() -> None:
    """Where its record is written with its addresses the watch may report it first; nothing follows then."""
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(endpoint("a")))
    snapshot.attach(Endpoint.of(endpoint("a")))
    assert not snapshot.awaits(KEY)
    snapshot.attach(Endpoint.of(endpoint("b", "10.65.1.3/32")))
    assert snapshot.awaits(KEY)
    snapshot.attach(Endpoint.of(endpoint("b", "10.65.1.3/32")))
    assert snapshot.awaits(KEY)
    snapshot.fold(Changed(endpoint("b", "10.65.1.3/32")))
    assert not snapshot.awaits(KEY)


def test_each_kind_concerns_its_own_topic_and_its_end_does_too() -> None:
    snapshot = Snapshot("n1")
    for resource, topic in (
        (Node.make("n1"), Topic.NODES | Topic.OWN_NODE),
        (IPPool.make("pods", cidr="10.65.0.0/16"), Topic.POOLS),
        (BGPPeer.make("rack", peerIP="192.0.2.9", asNumber=64512), Topic.BGP),
        (BGPConfiguration.make("default"), Topic.BGP),
        (FelixConfiguration.make("default"), Topic.FELIX),
        (affinity("10.65.1.0/26"), Topic.BLOCKS),
    ):
        gone = Gone(type(resource), resource.metadata.name, None, resource)
        assert snapshot.fold(Changed(resource)) == topic
        assert snapshot.fold(gone) == topic
        assert snapshot.fold(gone) == Topic.NOTHING


def test_networks_are_parsed_when_they_are_folded_in() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(IPPool.make("pods", cidr="10.65.0.0/16", disableBGPExport=True)))
    snapshot.fold(Changed(IPPool.make("more", cidr="10.64.0.0/16", disabled=True)))
    assert snapshot.pools["pods"].prefix == Prefix.parse("10.65.0.0/16")
    assert not snapshot.pools["pods"].exported
    assert list(map(str, snapshot.pool_prefixes())) == ["10.64.0.0/16", "10.65.0.0/16"]


def test_an_affinity_that_is_flagged_as_deleted_is_gone() -> None:
    snapshot = Snapshot("n1")
    claim = affinity("10.65.1.0/26")
    snapshot.fold(Changed(claim))
    assert snapshot.fold(Changed(claim.with_spec(deleted="true"))) == Topic.BLOCKS
    assert snapshot.own_blocks() == ()


def test_an_affinity_that_stays_as_it_is_concerns_nothing() -> None:
    snapshot = Snapshot("n1")
    snapshot.fold(Changed(affinity("10.65.1.0/26")))
    assert snapshot.fold(Changed(affinity("10.65.1.0/26"))) == Topic.NOTHING


def test_bgp_configurations_of_nodes_are_found_by_the_nodes_name() -> None:
    snapshot = Snapshot("n1")
    for name in ("default", "node.n2"):
        snapshot.fold(Changed(BGPConfiguration.make(name)))
    assert list(snapshot.node_bgp_configurations()) == ["n2"]


def test_endpoints_that_cannot_be_read_are_unknown_until_they_can_or_are_gone() -> None:
    one = Snapshot("n1")
    for name in ("a", "b"):
        assert one.fold(Unreadable(WorkloadEndpoint, name, "default", "no JSON")) == Topic.NOTHING
    one.fold(InSync())
    assert len(one.unreadable) == 2
    assert not one.fold(Gone(WorkloadEndpoint, "a", "default")) & Topic.IN_SYNC
    assert one.fold(Gone(WorkloadEndpoint, "b", "default")) & Topic.IN_SYNC
    assert not one.unreadable


def test_an_administrators_lock_is_known_while_it_lasts() -> None:
    snapshot = Snapshot("n1")
    assert not snapshot.locked
    snapshot.fold(Changed(ClusterInformation.make("default", datastore_ready=False)))
    assert snapshot.locked
    snapshot.fold(Changed(ClusterInformation.make("other", datastore_ready=True)))
    snapshot.fold(Gone(ClusterInformation, "other", None))
    assert snapshot.locked, "only the one named default counts"
    for end in (
        Changed(ClusterInformation.make("default", datastore_ready=True)),
        Gone(ClusterInformation, "default", None),
    ):
        snapshot.fold(end)
        assert not snapshot.locked
        snapshot.fold(Changed(ClusterInformation.make("default", datastore_ready=False)))
        assert snapshot.locked
