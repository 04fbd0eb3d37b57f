"""What is said of BGPPeers from which no session follows, or another than the one asked for."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

import pytest

from bgp.sessions import speaker_of
from datastore.kinds.bgp import BGPPeer
from datastore.kinds.node import Node
from tests.bgp.cluster_nodes import MESHLESS, node, nodes


def notices(name: str, cluster: list[Node], *peers: BGPPeer) -> list[tuple[str, str]]:
    _, found = speaker_of(name, cluster, None, peers)
    return [(notice.name, notice.field) for notice in found]


def test_a_peer_from_which_no_session_can_follow_yields_a_notice() -> None:
    six = BGPPeer.make("six", peerIP="fd00::9", asNumber=65001)
    nowhere = BGPPeer.make("nowhere")
    assert notices("n1", nodes(1), six, nowhere) == [("nowhere", ""), ("six", "spec.peerIP")]


def test_of_two_peers_with_one_address_the_one_without_its_session_yields_a_notice_that_names_the_other() -> None:
    tor = BGPPeer.make("tor", peerIP="10.0.0.99", asNumber=65001)
    newer = BGPPeer.make("another", peerIP="10.0.0.99", asNumber=65002)
    _, [found] = speaker_of("n1", nodes(1), None, (tor, newer))
    assert str(found) == (
        'BGPPeer "tor": BGPPeer "another" configures a session with 10.0.0.99 too; BGPPeer "another" applies: those of'
        " all nodes come first, then the first by name"
    )


def test_a_peer_at_our_own_address_yields_a_notice_unless_it_is_a_peering_of_other_nodes_with_us() -> None:
    own = BGPPeer.make("own", node="n1", peerIP="10.0.0.1", asNumber=64512)
    everybodys = BGPPeer.make("everybodys", peerIP="10.0.0.1", asNumber=64512)
    assert notices("n1", nodes(1, 2), own, everybodys) == [("own", "spec.peerIP")]
    assert notices("n1", nodes(1), everybodys) == [("everybodys", "spec.peerIP")]


def test_a_selector_that_no_node_matches_yields_a_notice() -> None:
    unmatched = BGPPeer.make("rack", peerSelector="rack == 'z'")
    assert notices("n1", nodes(1, 2), unmatched) == [("rack", "spec.peerSelector")]
    assert notices("n1", nodes(1, 2), BGPPeer.make("all", peerSelector="all()")) == []


def test_of_a_selector_that_cannot_be_read_nothing_else_is_said() -> None:
    unread = BGPPeer.make("unread", peerSelector="has(rack")
    elsewhere = BGPPeer.make("elsewhere", nodeSelector="has(rack", peerIP="192.0.2.99", asNumber=65001)
    assert notices("n1", nodes(1, 2), unread, elsewhere) == []


def test_a_peer_that_is_no_nodes_yields_a_notice_on_every_node() -> None:
    cluster = [node("n1", "10.0.0.1", labels={"rack": "a"}), *nodes(2)]
    misspelt = BGPPeer.make("misspelt", node="n11", peerIP="192.0.2.99", asNumber=65001)
    elsewhere = BGPPeer.make("elsewhere", nodeSelector="rack == 'aa'", peerIP="192.0.2.99", asNumber=65001)
    others = BGPPeer.make("others", nodeSelector="rack == 'a'", peerIP="192.0.2.98", asNumber=65001)
    for name in ("n1", "n2"):
        assert notices(name, cluster, misspelt, elsewhere, others) == [
            ("elsewhere", "spec.nodeSelector"),
            ("misspelt", "spec.node"),
        ]


@pytest.mark.parametrize("spec", [{"peerSelector": "all()"}, {"peerIP": "10.0.0.2"}], ids=["selector", "address"])
@pytest.mark.parametrize(
    ("asked", "interface", "is_noticed"),
    [("None", "10.0.0.100/25", True), ("None", "10.0.0.1/24", False), ("UseNodeIP", "10.0.0.100/25", False)],
)
def test_a_session_with_a_node_that_is_to_have_no_source_address_yields_a_notice_where_it_would_be_another(
    spec: dict[str, Any], asked: str, interface: str, is_noticed: bool
) -> None:
    wanted = BGPPeer.make("near", sourceAddress=asked, **spec)
    made, found = speaker_of("n1", nodes(1, 2), MESHLESS, [wanted], interfaces=[ip_interface(interface)])
    assert [each.local_address for each in made.neighbours] == ["10.0.0.1"]
    assert [(one.name, one.field) for one in found] == [("near", "spec.sourceAddress")] * is_noticed


def test_a_peer_that_gives_way_to_another_yields_a_notice_if_they_differ() -> None:
    first = BGPPeer.make("a", peerIP="192.0.2.99", asNumber=65001)
    same = BGPPeer.make("b", peerIP="192.0.2.99", asNumber=65001)
    other = BGPPeer.make("c", peerIP="192.0.2.99", asNumber=65002)
    filtered = BGPPeer.make("d", peerIP="192.0.2.99", asNumber=65001, filters=["reject-all"])
    assert notices("n1", nodes(1), first, same, other, filtered) == [("c", ""), ("d", "")]


def test_peers_that_yield_sessions_yield_no_notice() -> None:
    everywhere = BGPPeer.make("everywhere", peerIP="10.0.0.1")
    assert notices("n1", nodes(1, 2), everywhere) == []
    assert notices("n2", nodes(1, 2), everywhere) == []
