"""What annotations of ours on a BGPPeer, and on BGPConfiguration default, say about what peers may send."""

from __future__ import annotations

import pytest

from bgp.annotations import ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET, PREFIX_LIMIT
from bgp.peer_annotations import annotation_notices, import_policy
from bgp.speaker import ImportPolicy
from datastore.kinds.bgp import BGPConfiguration, BGPPeer


def peer(**annotations: str) -> BGPPeer:
    named = {f"felix-py/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return BGPPeer.make("tor", annotations=named, peerIP="192.0.2.9", asNumber=64513)


CONFIGURATION = BGPConfiguration.make("default", annotations={PREFIX_LIMIT: "300", ACCEPT_DEFAULT_ROUTE: "true"})


def test_a_peer_that_says_nothing_has_the_defaults_and_so_has_the_mesh() -> None:
    assert import_policy(peer(), None) == import_policy(None, None) == ImportPolicy()


def test_what_the_peer_says_goes_before_what_the_configuration_says() -> None:
    assert import_policy(None, CONFIGURATION) == ImportPolicy(300, default_route=True)
    said = peer(prefix_limit=" 50000 ", accept_default_route="false", accept_inside_node_subnet="True")
    assert import_policy(said, CONFIGURATION) == ImportPolicy(50000, inside_subnet=True)
    assert list(annotation_notices(said)) == []


@pytest.mark.parametrize("value", ["0", "-1", "1e6", "many", "", "99999999999", "10000001", "\u0663"])
def test_a_limit_that_is_none_counts_as_absent_and_says_so(value: str) -> None:
    wrong = peer(prefix_limit=value)
    assert import_policy(wrong, None) == ImportPolicy()
    [notice] = annotation_notices(wrong)
    assert notice.field == f"metadata.annotations[{PREFIX_LIMIT}]"


def test_a_switch_that_is_none_and_an_unknown_annotation_of_ours_say_so() -> None:
    wrong = peer(accept_default_route="yes", accept_inside_node_subnet="1", prefix_limits="7")
    assert import_policy(wrong, None) == ImportPolicy()
    assert [notice.field for notice in annotation_notices(wrong)] == [
        f"metadata.annotations[{name}]" for name in (ACCEPT_DEFAULT_ROUTE, ACCEPT_INSIDE_SUBNET, f"{PREFIX_LIMIT}s")
    ]
