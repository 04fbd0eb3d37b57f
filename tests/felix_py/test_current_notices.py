"""Which notices hold, and which are new."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.notices import Notice
from datastore.record import Resource
from datastore.resources import KINDS
from datastore.store import Changed, Gone, InSync
from felix_py.current_notices import CurrentNotices
from felix_py.notices import WATCHED_FOR_NOTICES, notices_of


def peer(*filters: str) -> BGPPeer:
    return BGPPeer.make("rack1", peerIP="192.0.2.9", asNumber=64513, filters=list(filters))


def gone(resource: Resource) -> Gone:
    return Gone(type(resource), resource.name, resource.namespace)


def test_a_notice_is_new_once() -> None:
    current = CurrentNotices("n1")
    (notice,) = current.fold(Changed(peer("a")))
    assert notice.field == "spec.filters"
    assert current.fold(Changed(peer("a", "b"))) == ()
    assert current.all() == (notice,)


def test_a_notice_is_new_again_after_its_field_or_its_object_was_gone() -> None:
    current = CurrentNotices("n1")
    first = current.fold(Changed(peer("a")))
    assert current.fold(Changed(peer())) == ()
    assert current.all() == ()
    assert current.fold(Changed(peer("a"))) == first
    assert current.fold(gone(peer("a"))) == ()
    assert current.all() == ()
    assert current.fold(Changed(peer("a"))) == first


def test_two_parts_may_have_the_same_notice_and_it_stays_until_both_are_without() -> None:
    notice = Notice("BGPPeer", "rack1", "", "no address", "no session")
    current = CurrentNotices("n1")
    assert current.put("sessions", [notice, notice]) == (notice,)
    assert current.put("others", [notice]) == ()
    assert current.put("sessions", []) == ()
    assert current.all() == (notice,)
    current.put("others", [])
    assert current.all() == ()


def test_the_nodes_of_others_are_theirs_to_report() -> None:
    reflector = Node.make("n2").with_data(RouteReflectorClusterID="244.0.0.1")
    assert CurrentNotices("n1").fold(Changed(reflector)) == ()
    assert len(CurrentNotices("n2").fold(Changed(reflector))) == 1


def test_every_object_of_a_kind_that_is_watched_for_it_yields_a_notice() -> None:
    current = CurrentNotices("n1")
    for kind in WATCHED_FOR_NOTICES:
        namespace = "default" if kind.NAMESPACED else None
        assert len(current.fold(Changed(kind.make("any", namespace)))) == 1
    assert {notice.kind for notice in current.all()} == {kind.KIND for kind in WATCHED_FOR_NOTICES}
    assert {"NetworkPolicy", "GlobalNetworkPolicy"} <= KINDS.keys() & {kind.KIND for kind in WATCHED_FOR_NOTICES}


def test_to_be_in_sync_changes_nothing() -> None:
    assert CurrentNotices("n1").fold(InSync()) == ()


pools = st.builds(
    lambda name, nat, vxlan: IPPool.make(name, cidr="10.65.0.0/16", natOutgoing=nat, vxlanMode=vxlan),
    st.sampled_from(["a", "b"]),
    st.booleans(),
    st.sampled_from(["Never", "Always"]),
)


@given(st.lists(pools.map(Changed) | pools.map(gone)))
def test_after_any_events_exactly_the_notices_of_the_objects_there_are_hold(events: list[Changed | Gone]) -> None:
    current, there = CurrentNotices("n1"), dict[str, Resource]()
    for event in events:
        before = set(current.all())
        new = current.fold(event)
        if isinstance(event, Changed):
            there[event.resource.name] = event.resource
        else:
            there.pop(event.name, None)
        assert set(current.all()) == {notice for pool in there.values() for notice in notices_of(pool)}
        assert set(new) == set(current.all()) - before
