"""Which notices are new: each once, and again only after it was gone."""

from __future__ import annotations

import pytest

from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.cluster import FelixConfiguration
from datastore.kinds.node import Node
from datastore.kinds.pools import IPPool
from datastore.notices import Notice
from datastore.record import Resource
from datastore.store import Changed, Gone, InSync, Unreadable
from felix_py.notices.current_notices import CurrentNotices

FILTERED = BGPPeer.make("rack", peerIP="192.0.2.9", asNumber=64512, filters=["reject-all"])
PLAIN = BGPPeer.make("rack", peerIP="192.0.2.9", asNumber=64512)
SETTING = Notice("Setting", "FELIX_BPFENABLED", "", "there is no BPF", "nothing happens")


def fields(notices: tuple[Notice, ...]) -> list[str]:
    return [notice.field for notice in notices]


def test_a_notice_is_new_once() -> None:
    current = CurrentNotices("n1")
    assert fields(current.fold(Changed(FILTERED))) == ["spec.filters"]
    assert current.fold(Changed(FILTERED)) == ()
    assert fields(current.all()) == ["spec.filters"]


def test_what_is_corrected_is_gone_and_new_when_it_comes_again() -> None:
    current = CurrentNotices("n1")
    current.fold(Changed(FILTERED))
    assert current.fold(Changed(PLAIN)) == ()
    assert current.all() == ()
    assert fields(current.fold(Changed(FILTERED))) == ["spec.filters"]


def test_an_object_that_is_gone_takes_its_notices_along() -> None:
    current = CurrentNotices("n1")
    current.fold(Changed(FILTERED))
    current.fold(Gone(BGPPeer, "rack", None, FILTERED))
    assert current.all() == ()


def test_parts_of_the_agent_state_theirs_whole() -> None:
    current = CurrentNotices("n1")
    assert current.put("settings", [SETTING]) == (SETTING,)
    assert current.put("settings", [SETTING]) == ()
    assert current.put("settings", []) == ()
    assert current.all() == ()


def test_the_same_notice_from_two_parts_is_one() -> None:
    current = CurrentNotices("n1")
    current.put("settings", [SETTING])
    assert current.put("sessions", [SETTING]) == ()
    assert current.all() == (SETTING,)


def test_other_nodes_report_what_is_written_on_them() -> None:
    current = CurrentNotices("n1")
    reflector = {"projectcalico.org/RouteReflectorClusterID": "244.0.0.1"}
    assert current.fold(Changed(Node.make("n2", annotations=reflector))) == ()
    assert len(current.fold(Changed(Node.make("n1", annotations=reflector)))) == 1


def test_the_end_of_the_first_list_is_no_notice() -> None:
    assert CurrentNotices("n1").fold(InSync()) == ()


def test_a_selector_of_namespaces_is_obeyed_where_the_datastore_has_them() -> None:
    pool = IPPool.make("reds", cidr="10.0.0.0/16", namespaceSelector="has(red)", allowedUses=["Workload"])
    assert fields(CurrentNotices("n1").fold(Changed(pool))) == ["spec.namespaceSelector"]
    assert CurrentNotices("n1", has_namespaces=True).fold(Changed(pool)) == ()


@pytest.mark.parametrize(
    ("kind", "name", "meanwhile"),
    [
        (BGPConfiguration, "default", "BGP sessions stay as they are, and a new node has none"),
        (BGPConfiguration, "node.n1", "the node goes by what is set for all"),
        (FelixConfiguration, "default", "the usual values apply"),
        (FelixConfiguration, "node.n1", "the node goes by what is set for all"),
        (BGPPeer, "node.n1", "it yields no session"),
    ],
)
def test_what_becomes_of_an_object_that_cannot_be_read_depends_on_what_it_is(
    kind: type[Resource], name: str, meanwhile: str
) -> None:
    [notice] = CurrentNotices("n1").fold(Unreadable(kind, name, None, "it is odd"))
    assert notice.effect == f"what was known of it still holds; if nothing was, {meanwhile}"
