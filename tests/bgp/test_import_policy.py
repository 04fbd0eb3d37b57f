"""What is rejected, and for each reason an announcement close to it that is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bgp.import_policy import ImportFilter, RejectReason
from bgp.speaker import AsPathSegment, Attributes, ImportPolicy, LocalNode, Neighbour
from net.prefix import Prefix, pack

PAGE = Path(__file__).parents[2] / "docs" / "bgp.md"
OWN, PEER, ROUTER_AT = "192.0.2.1", "192.0.2.2", "192.0.2.90"
NODE = Neighbour(PEER, OWN, peer_as=64512, local_as=64512)
ROUTER = replace(NODE, peer_as=65001, is_node=False, kind="global")
LOCAL = LocalNode(
    own_as=64512,
    router_id=pack(OWN),
    own_addresses=frozenset({pack(OWN), pack("fd99::1")}),
    own_blocks=(Prefix.parse("10.65.1.0/26"), Prefix.parse("fd00:65::/122")),
    pools=(Prefix.parse("10.65.0.0/16"), Prefix.parse("240.10.0.0/16")),
    hosts=frozenset(map(pack, (OWN, PEER, ROUTER_AT, "198.51.100.7"))),
    connected=(Prefix.parse("192.0.2.0/24"),),
    nodes=frozenset(map(pack, (PEER, "198.51.100.7"))),
    owners=((Prefix.parse("10.65.2.0/26"), (pack(PEER),)), (Prefix.parse("10.65.1.7/32"), (pack(PEER),))),
    services=(Prefix.parse("10.96.0.0/12"), Prefix.parse("203.0.113.0/24"), Prefix.parse("fd00:96::/112")),
)


def reason_for(
    prefix: str, neighbour: Neighbour = NODE, next_hop: str = PEER, **attributes: Any
) -> RejectReason | None:
    announced = Attributes(pack(next_hop), **attributes)
    return ImportFilter(LOCAL).reject_reason(Prefix.parse(prefix), announced, neighbour)


def through(*numbers: int) -> tuple[AsPathSegment, ...]:
    return (AsPathSegment("sequence", numbers),)


@pytest.mark.parametrize("reason", RejectReason)
def test_each_reason_says_what_would_change_it_and_is_in_the_documents(reason: RejectReason) -> None:
    ends_with_what_changes_it = re.fullmatch(r".+ \(([^()]+)\)", reason)
    assert ends_with_what_changes_it
    assert re.search(
        "at the peer|annotation|setting|BGP(Peer|Configuration)|IPPool|peerSelector", ends_with_what_changes_it[1]
    )
    assert f"- {reason}\n" in PAGE.read_text()


def test_another_nodes_block_is_accepted() -> None:
    assert reason_for("10.65.2.0/26") is None
    assert reason_for("fd00:65:0:1::/122", next_hop="fd99::2") is None


@pytest.mark.parametrize(
    ("reason", "prefix", "attributes"),
    [
        (RejectReason.BAD_ORIGIN, "10.65.2.0/26", {"origin": None}),
        (RejectReason.BAD_ORIGIN, "10.65.2.0/26", {"origin": "invalid"}),
        (RejectReason.OWN_NEXT_HOP, "10.65.2.0/26", {"next_hop": OWN}),
        (RejectReason.OWN_NEXT_HOP, "fd00:65:0:1::/122", {"next_hop": "fd99::1"}),
        (RejectReason.MARTIAN_NEXT_HOP, "10.65.2.0/26", {"next_hop": "127.0.0.1"}),
        (RejectReason.MARTIAN_NEXT_HOP, "10.65.2.0/26", {"next_hop": "0.0.0.0"}),
        (RejectReason.MARTIAN_NEXT_HOP, "fd00:65:0:1::/122", {"next_hop": "ff02::1"}),
        (RejectReason.MAPPED_NEXT_HOP, "fd00:65:0:1::/122", {"next_hop": "::ffff:192.0.2.2"}),
        (RejectReason.OTHER_FAMILY, "10.65.2.0/26", {"next_hop": "fd99::2"}),
        (RejectReason.OWN_AS, "10.65.2.0/26", {"as_path": through(65001, 64512)}),
        (RejectReason.OWN_AS, "10.65.2.0/26", {"as_path": (AsPathSegment("set", (64512, 7)),)}),
        (RejectReason.OWN_ORIGINATOR, "10.65.2.0/26", {"originator_id": pack(OWN)}),
        (RejectReason.OWN_CLUSTER, "10.65.2.0/26", {"cluster_list": (pack("7.7.7.7"), pack(OWN))}),
        (RejectReason.DEFAULT_ROUTE, "0.0.0.0/0", {}),
        (RejectReason.DEFAULT_ROUTE, "::/0", {"next_hop": "fd99::2"}),
        (RejectReason.MARTIAN_PREFIX, "127.1.0.0/16", {}),
        (RejectReason.MARTIAN_PREFIX, "224.0.0.0/8", {}),
        (RejectReason.OWN_BLOCK, "10.65.1.0/26", {}),
        (RejectReason.OWN_BLOCK, "10.65.1.32/27", {}),
        (RejectReason.OWN_BLOCK, "fd00:65::/122", {"next_hop": "fd99::2"}),
    ],
)
def test_it_is_rejected_with_its_reason(reason: RejectReason, prefix: str, attributes: dict[str, Any]) -> None:
    assert reason_for(prefix, **attributes) is reason


def test_a_missing_next_hop_is_named_so() -> None:
    assert (
        ImportFilter(LOCAL).reject_reason(Prefix.parse("10.65.2.0/26"), Attributes(b""), NODE)
        is RejectReason.NO_NEXT_HOP
    )


def test_an_address_borrowed_from_our_block_is_accepted_from_a_node_only() -> None:
    assert reason_for("10.65.1.7/32") is None
    assert reason_for("fd00:65::7/128", next_hop="fd99::2") is None
    by_router = reason_for("10.65.1.7/32", ROUTER, next_hop=ROUTER_AT, as_path=through(65001))
    assert by_router is RejectReason.OWN_BLOCK


def test_a_router_may_lead_anywhere_but_into_a_pool() -> None:
    assert reason_for("172.20.0.0/16", ROUTER, as_path=through(65001)) is None
    assert reason_for("10.65.3.0/26", ROUTER, as_path=through(65001)) is RejectReason.POOL_FROM_OUTSIDE
    assert reason_for("10.0.0.0/8", ROUTER, as_path=through(65001)) is None


@pytest.mark.parametrize("neighbour", [NODE, ROUTER])
def test_services_are_left_to_kube_proxy_whoever_announces_them(neighbour: Neighbour) -> None:
    """As nodes of Calico announce them: each whole range, and single addresses of it."""
    through_it: dict[str, Any] = {"next_hop": PEER, "as_path": through(65001)}
    for inside in ("10.96.0.0/12", "10.96.0.1/32", "203.0.113.7/32"):
        assert reason_for(inside, neighbour, **through_it) is RejectReason.OF_SERVICES
    assert reason_for("fd00:96::a/128", neighbour, "fd99::2", as_path=through(65001)) is RejectReason.OF_SERVICES
    for around in ("10.0.0.0/8", "10.112.0.0/12"):
        assert reason_for(around, neighbour, **through_it) is None


def test_an_external_path_names_an_as() -> None:
    assert reason_for("172.20.0.0/16", ROUTER) is RejectReason.EMPTY_AS_PATH


def test_others_originators_clusters_and_supernets_of_ours_are_accepted() -> None:
    assert reason_for("10.65.2.0/26", originator_id=pack(PEER), cluster_list=(pack("7.7.7.7"),)) is None
    assert reason_for("10.65.0.0/16") is None


@pytest.mark.parametrize("block", ["10.65.2.0/26", "10.65.1.7/32"])
def test_a_block_handed_on_is_accepted_with_the_node_that_has_it_as_next_hop_and_no_other(block: str) -> None:
    assert reason_for(block, ROUTER, as_path=through(65001)) is None
    assert reason_for(block, ROUTER, next_hop=ROUTER_AT, as_path=through(65001)) is not None


@pytest.mark.parametrize("address", ["10.65.1.9/32", "10.65.2.1/32", "10.65.3.3/32"])
def test_an_address_handed_on_is_accepted_with_a_node_as_next_hop_and_no_other(address: str) -> None:
    """Whoever's block it lies in: it may be borrowed from any."""
    for at in (PEER, "198.51.100.7"):
        assert reason_for(address, ROUTER, next_hop=at, as_path=through(65001)) is None
    assert reason_for(address, ROUTER, next_hop=ROUTER_AT, as_path=through(65001)) is not None


@pytest.mark.parametrize("near", ["10.65.2.0/27", "10.65.0.0/17", "10.65.3.0/26"])
def test_what_is_no_nodes_block_stays_out_of_the_pools_even_with_a_node_as_next_hop(near: str) -> None:
    assert reason_for(near, ROUTER, as_path=through(65001)) is RejectReason.POOL_FROM_OUTSIDE


@pytest.mark.parametrize("narrow", ["192.0.2.2/32", "192.0.2.0/25", "192.0.2.90/32", "192.0.2.64/26"])
@pytest.mark.parametrize("neighbour", [NODE, ROUTER])
def test_what_would_hide_the_connected_way_to_a_node_or_peer_is_rejected(narrow: str, neighbour: Neighbour) -> None:
    reason = reason_for(narrow, neighbour, next_hop=ROUTER_AT, as_path=through(65001))
    assert reason is RejectReason.HIDES_HOST


def test_each_network_between_a_host_and_the_connected_network_is_rejected_and_no_other() -> None:
    at = ("10.0.0.1", "10.0.0.2", "10.0.3.1", "10.1.0.1", "172.16.0.1")
    inner, outer = Prefix.parse("10.0.0.0/22"), Prefix.parse("10.0.0.0/14")
    crowded = ImportFilter(replace(LOCAL, hosts=frozenset(map(pack, at)), connected=(inner, outer), pools=()))
    for length in range(8, 33):
        for address in (*at, "10.0.0.3", "10.0.2.1", "10.2.0.1", "172.16.0.2"):
            prefix = Prefix.of(f"{address}/{length}")
            hides = length > outer.length and any(prefix.contains(Prefix.host(host)) for host in at[:4])
            found = crowded.prefix(prefix, Attributes(pack(ROUTER_AT)), NODE)
            assert (found is RejectReason.HIDES_HOST) == hides, prefix


@pytest.mark.parametrize("other", ["192.0.2.0/24", "192.0.0.0/16", "198.51.100.7/32"])
def test_a_connected_network_what_is_wider_and_hosts_elsewhere_are_accepted(other: str) -> None:
    assert reason_for(other, ROUTER, next_hop=ROUTER_AT, as_path=through(65001)) is None


@pytest.mark.parametrize("inside", ["192.0.2.128/25", "192.0.2.66/32"])
def test_what_is_narrower_than_the_nodes_subnet_is_taken_only_from_a_peer_that_may_send_it(inside: str) -> None:
    assert reason_for(inside, ROUTER, next_hop=ROUTER_AT, as_path=through(65001)) is RejectReason.INSIDE_SUBNET
    assert reason_for(inside, next_hop=ROUTER_AT) is RejectReason.INSIDE_SUBNET
    allowing = replace(ROUTER, import_policy=ImportPolicy(inside_subnet=True))
    assert reason_for(inside, allowing, next_hop=ROUTER_AT, as_path=through(65001)) is None
    assert reason_for("192.0.2.2/32", allowing, as_path=through(65001)) is RejectReason.HIDES_HOST


def test_our_own_as_may_stand_in_a_path_as_often_as_the_peer_says() -> None:
    allowing = replace(ROUTER, import_policy=ImportPolicy(own_as_allowed=1))
    assert reason_for("203.0.114.0/24", allowing, as_path=through(65001, 64512)) is None
    assert reason_for("203.0.114.0/24", allowing, as_path=through(65001, 64512, 64512)) is RejectReason.OWN_AS
    assert reason_for("203.0.114.0/24", ROUTER, as_path=through(65001, 64512)) is RejectReason.OWN_AS


def test_a_default_route_is_taken_from_a_peer_that_may_send_one() -> None:
    uplink = replace(ROUTER, import_policy=ImportPolicy(default_route=True))
    assert reason_for("0.0.0.0/0", uplink, as_path=through(65001)) is None
    assert reason_for("0.0.0.0/0", ROUTER, as_path=through(65001)) is RejectReason.DEFAULT_ROUTE


def test_a_link_local_next_hop_is_for_the_kernel_to_judge_and_a_pool_is_no_martian() -> None:
    assert reason_for("203.0.114.0/24", ROUTER, next_hop="169.254.255.2", as_path=through(65001)) is None
    assert reason_for("2001:db8:f::/48", ROUTER, next_hop="fe80::1", as_path=through(65001)) is None
    assert reason_for("fe80:0:0:7::/64", ROUTER, as_path=through(65001), next_hop="fd99::2") is (
        RejectReason.MARTIAN_PREFIX
    )
    assert reason_for("169.254.7.0/24", ROUTER, as_path=through(65001)) is RejectReason.MARTIAN_PREFIX
    assert reason_for("240.10.1.0/26") is None
    assert reason_for("240.11.1.0/26") is RejectReason.MARTIAN_PREFIX
