"""What is rejected, and for each reason an announcement close to it that is accepted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bgp.import_policy import ImportFilter, RejectReason
from bgp.speaker import AsPathSegment, Attributes, LocalNode, Neighbour
from net.prefix import Prefix, pack

OWN, PEER = "192.0.2.1", "192.0.2.2"
NODE = Neighbour(PEER, OWN, peer_as=64512, local_as=64512)
ROUTER = replace(NODE, peer_as=65001, is_node=False, kind="global")
LOCAL = LocalNode(
    own_as=64512,
    router_id=pack(OWN),
    own_addresses=frozenset({pack(OWN), pack("fd99::1")}),
    own_blocks=(Prefix.parse("10.65.1.0/26"), Prefix.parse("fd00:65::/122")),
    pools=(Prefix.parse("10.65.0.0/16"),),
)


def reason_for(
    prefix: str, neighbour: Neighbour = NODE, next_hop: str = PEER, **attributes: Any
) -> RejectReason | None:
    announced = Attributes(pack(next_hop), **attributes)
    return ImportFilter(LOCAL).reject_reason(Prefix.parse(prefix), announced, neighbour)


def through(*numbers: int) -> tuple[AsPathSegment, ...]:
    return (AsPathSegment("sequence", numbers),)


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
        (RejectReason.MARTIAN_NEXT_HOP, "fd00:65:0:1::/122", {"next_hop": "fe80::1"}),
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
    assert reason_for("10.65.1.7/32", ROUTER, as_path=through(65001)) is RejectReason.OWN_BLOCK


def test_a_router_may_lead_anywhere_but_into_a_pool() -> None:
    assert reason_for("172.20.0.0/16", ROUTER, as_path=through(65001)) is None
    assert reason_for("10.65.2.0/26", ROUTER, as_path=through(65001)) is RejectReason.POOL_FROM_OUTSIDE
    assert reason_for("10.0.0.0/8", ROUTER, as_path=through(65001)) is None


def test_an_external_path_names_an_as() -> None:
    assert reason_for("172.20.0.0/16", ROUTER) is RejectReason.EMPTY_AS_PATH


def test_others_originators_clusters_and_supernets_of_ours_are_accepted() -> None:
    assert reason_for("10.65.2.0/26", originator_id=pack(PEER), cluster_list=(pack("7.7.7.7"),)) is None
    assert reason_for("10.65.0.0/16") is None
