"""Where other nodes' addresses are, folded from affinities and blocks."""

from __future__ import annotations

from datastore.kinds.ipam import BlockAffinity, IPAMBlock
from datastore.kinds.node import Node
from datastore.store import Changed, Gone, InSync
from felix_py.routes.remote_blocks import RemoteBlocks, borrowed_addresses
from net.prefix import Prefix
from tests.felix_py.fake_node import affinity, block

REMOTE, BORROWED = Prefix.parse("10.65.2.0/26"), Prefix.parse("10.65.1.1/32")


def gone(resource: BlockAffinity | IPAMBlock) -> Gone:
    return Gone(type(resource), resource.metadata.name, None, resource)


def test_a_confirmed_block_leads_to_its_node_and_an_own_one_nowhere() -> None:
    remote = RemoteBlocks("n1")
    assert remote.fold(Changed(affinity("10.65.2.0/26", "n2")))
    assert remote.take_changed() == {REMOTE}
    assert remote.node_of(REMOTE) == "n2"
    assert not remote.fold(Changed(affinity("10.65.1.0/26", "n1")))
    assert remote.owners() == {REMOTE: "n2"}


def test_what_kubernetes_gave_a_node_leads_there_where_it_is_used() -> None:
    node = Node.make("n2", podCIDRs=["10.244.2.0/24", "fd00:2::/64"])
    assert not RemoteBlocks("n1").fold(Changed(node))
    remote = RemoteBlocks("n1", use_pod_cidrs=True)
    assert remote.fold(Changed(node))
    assert set(remote.owners()) == {Prefix.parse("10.244.2.0/24"), Prefix.parse("fd00:2::/64")}
    remote.fold(Changed(node.with_spec(pod_cidrs=("10.244.3.0/24",))))
    assert set(remote.owners()) == {Prefix.parse("10.244.3.0/24")}
    assert remote.node_of(Prefix.parse("10.244.3.0/24")) == "n2"
    remote.fold(Gone(Node, "n2", None, node))
    assert not remote.owners()


def test_the_same_again_changes_nothing() -> None:
    remote = RemoteBlocks("n1")
    remote.fold(Changed(affinity("10.65.2.0/26", "n2")))
    remote.take_changed()
    assert not remote.fold(Changed(affinity("10.65.2.0/26", "n2")))


def test_a_claim_that_is_not_confirmed_or_gone_leads_nowhere() -> None:
    remote = RemoteBlocks("n1")
    assert not remote.fold(Changed(affinity("10.65.2.0/26", "n2", "pending")))
    remote.fold(Changed(affinity("10.65.2.0/26", "n2")))
    remote.fold(gone(affinity("10.65.2.0/26", "n2")))
    assert remote.node_of(REMOTE) is None
    assert not remote.owners()


def test_when_one_of_two_claims_goes_the_block_leads_where_the_other_says() -> None:
    remote = RemoteBlocks("n1")
    for host in ("n2", "n3"):  # whose is out of date nobody can say before one of them goes
        remote.fold(Changed(affinity("10.65.2.0/26", host)))
    remote.take_changed()
    remote.fold(gone(affinity("10.65.2.0/26", "n3")))
    assert (remote.node_of(REMOTE), remote.take_changed()) == ("n2", {REMOTE})
    remote.fold(gone(affinity("10.65.2.0/26", "n2")))
    assert (remote.node_of(REMOTE), remote.owners()) == (None, {})

    both = RemoteBlocks("n1", use_pod_cidrs=True)
    both.fold(Changed(Node.make("n2", podCIDRs=["10.65.2.0/26"])))
    both.fold(Changed(affinity("10.65.2.0/26", "n2")))
    both.fold(gone(affinity("10.65.2.0/26", "n2")))
    assert both.node_of(REMOTE) == "n2"


def test_an_address_that_another_node_borrowed_leads_there_until_it_is_given_back() -> None:
    remote = RemoteBlocks("n1")
    assert remote.fold(Changed(block("10.65.1.0/29", "n1", "n1", "n2")))
    assert remote.node_of(BORROWED) == "n2"
    remote.take_changed()
    assert remote.fold(Changed(block("10.65.1.0/29", "n1", "n1")))
    assert remote.take_changed() == {BORROWED}
    assert remote.node_of(BORROWED) is None


def test_a_block_that_is_gone_takes_its_borrowed_addresses_along() -> None:
    remote = RemoteBlocks("n1")
    lent = block("10.65.1.0/29", "n1", "n1", "n2")
    remote.fold(Changed(lent))
    remote.fold(gone(lent))
    assert not remote.owners()


def test_what_leads_to_a_node_can_be_marked_as_changed() -> None:
    remote = RemoteBlocks("n1")
    remote.fold(Changed(affinity("10.65.2.0/26", "n2")))
    remote.fold(Changed(affinity("10.65.3.0/26", "n3")))
    remote.take_changed()
    remote.mark_node("n2")
    assert remote.take_changed() == {REMOTE}
    remote.mark_all()
    assert len(remote.take_changed()) == 2


def test_other_events_are_none_of_its_business() -> None:
    assert not RemoteBlocks("n1").fold(InSync())


def test_only_addresses_of_other_nodes_are_borrowed() -> None:
    assert borrowed_addresses(block("10.65.1.0/29", "n1", "n1", "n1")) == {}
    assert borrowed_addresses(block("10.65.1.0/29", "n1", "n1", "n2")) == {BORROWED: "n2"}
