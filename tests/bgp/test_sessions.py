"""Who peers with whom: Calico's rules, and that both ends always come to the same session."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_interface
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgp.annotations import ACCEPT_DEFAULT_ROUTE
from bgp.passwords import KnownSecret, KnownSecrets
from bgp.sessions import has_session, router_id_of, secrets_named, speaker_of
from bgp.speaker import ImportPolicy, Neighbour, Speaker
from datastore.kinds.bgp import BGPConfiguration, BGPPeer
from datastore.kinds.node import Node
from datastore.notices import Notice
from net.prefix import Prefix, pack, unpack
from tests.bgp.cluster_nodes import MESHLESS, node, nodes


def speaker(name: str, cluster: list[Node], *peers: BGPPeer, **settings: Any) -> Speaker:
    configuration = BGPConfiguration.make("default", **settings) if settings else None
    made, _ = speaker_of(name, cluster, configuration, peers)
    return made


def sessions(name: str, cluster: list[Node], *peers: BGPPeer, **settings: Any) -> dict[str, Neighbour]:
    return {n.address: n for n in speaker(name, cluster, *peers, **settings).neighbours}


FOREVER = "2562047h"  # the longest duration
NO_MESH = {"nodeToNodeMeshEnabled": False}


@pytest.mark.parametrize(("name", "expected"), [("kube-master", "25.79.212.8"), ("Testrobin123", "207.94.5.27")])
def test_router_id_by_hash_is_calicos(name: str, expected: str) -> None:
    assert unpack(router_id_of(name, node("any", "10.0.0.1"), "hash")) == expected


def test_router_id_is_what_is_set_else_the_ipv4_address_else_the_hash() -> None:
    dual, six = node("a", "10.0.0.1", "fd00::1"), node("kube-master", ipv6="fd00::1")
    assert unpack(router_id_of("a", dual, IPv4Address("7.7.7.7"))) == "7.7.7.7"
    assert unpack(router_id_of("a", dual)) == "10.0.0.1"
    assert unpack(router_id_of("kube-master", six)) == "25.79.212.8"


def test_the_passive_end_is_chosen_by_comparing_texts_not_numbers() -> None:
    cluster = nodes(9, 10)
    assert not sessions("n9", cluster)["10.0.0.10"].passive
    assert sessions("n10", cluster)["10.0.0.9"].passive


def test_the_mesh_is_every_other_node_of_the_family() -> None:
    cluster = [*nodes(1, 2), node("six", ipv6="fd00::3"), node("dual", "10.0.0.4", "fd00::4"), node("bare")]
    assert sessions("n1", cluster).keys() == {"10.0.0.2", "10.0.0.4"}
    dual = sessions("dual", cluster)
    assert dual.keys() == {"10.0.0.1", "10.0.0.2", "fd00::3"}
    assert dual["fd00::3"].families == ("ipv6",)
    assert dual["fd00::3"].local_address == "fd00::4"
    assert speaker("dual", cluster).listen == ("10.0.0.4", "fd00::4")
    assert not sessions("bare", cluster)


def test_the_import_filter_is_told_of_the_ranges_of_services() -> None:
    ranges = {"serviceClusterIPs": "10.96.0.0/12", "serviceExternalIPs": "fd00:96::/112"}
    local = speaker("n1", nodes(1, 2), **{field: [{"cidr": cidr}] for field, cidr in ranges.items()}).local
    assert local.services == (Prefix.parse("10.96.0.0/12"), Prefix.parse("fd00:96::/112"))


def test_defaults_of_a_mesh_session() -> None:
    [mesh] = sessions("n1", nodes(1, 2)).values()
    assert mesh == Neighbour("10.0.0.2", "10.0.0.1", 64512, 64512, passive=True, families=("ipv4",))


def test_a_route_reflector_has_no_mesh_and_nobody_meshes_with_it() -> None:
    cluster = [*nodes(1, 2), node("rr", "10.0.0.3", RouteReflectorClusterID="1.0.0.1")]
    assert sessions("n1", cluster).keys() == {"10.0.0.2"}
    assert not sessions("rr", cluster)


def test_a_node_may_have_an_as_of_its_own_and_the_cluster_another_default() -> None:
    cluster = [*nodes(1), node("own", "10.0.0.2", ASNumber="65100")]
    [neighbour] = sessions("n1", cluster, asNumber="1.10").values()
    assert (neighbour.local_as, neighbour.peer_as) == (65546, 65100)
    assert speaker("own", cluster, asNumber="1.10").local.own_as == 65100


def test_no_mesh_no_sessions() -> None:
    assert not sessions("n1", nodes(1, 2), **NO_MESH)


def test_listen_port_is_the_nodes_else_the_clusters() -> None:
    default = BGPConfiguration.make("default", listenPort=1790)
    own = BGPConfiguration.make("node.n2", listenPort=1799)
    made, _ = speaker_of("n1", nodes(1, 2, 3), default, (), node_configurations={"n2": own})
    assert made.port == 1790
    assert {n.address: n.port for n in made.neighbours} == {"10.0.0.2": 1799, "10.0.0.3": 1790}


def test_restart_time_of_the_mesh() -> None:
    [mesh] = sessions("n1", nodes(1, 2), nodeMeshMaxRestartTime="45s").values()
    assert mesh.restart_time == 45


SECRET = {"secretKeyRef": {"name": "bgp", "key": "password"}}


def test_a_mesh_with_a_password_is_held_back_and_the_explicit_sessions_are_not() -> None:
    router = BGPPeer.make("router", peerIP="192.0.2.99", asNumber=65001)
    made = speaker("n1", nodes(1, 2), router, nodeMeshPassword=SECRET)
    assert [neighbour.address for neighbour in made.neighbours] == ["192.0.2.99"]
    assert [(each.address, each.kind) for each in made.held_back] == [("10.0.0.2", "mesh")]


def with_secret(known: KnownSecret, *peers: BGPPeer, **configuration: Any) -> tuple[Speaker, tuple[Notice, ...]]:
    """Return what n1 has to say beside n2, where this is known of the Secret that passwords are in."""
    secrets = KnownSecrets("kube-system", {"bgp": known})
    default = BGPConfiguration.make("default", **configuration) if configuration else None
    return speaker_of("n1", nodes(1, 2), default, peers, secrets=secrets)


def router(**spec: Any) -> BGPPeer:
    return BGPPeer.make("router", **{"peerIP": "192.0.2.99", "asNumber": 65001, "password": SECRET, **spec})


READ = KnownSecret(True, {"password": b"s3cret", "other": b"an0ther"})
LACKING = "watch secrets: it is forbidden (403)"


def test_a_password_is_that_of_its_own_sessions_only() -> None:
    made, found = with_secret(READ, router())
    assert {each.address: each.password for each in made.neighbours} == {"192.0.2.99": "s3cret", "10.0.0.2": None}
    made, _ = with_secret(READ, BGPPeer.make("open", peerIP="192.0.2.99"), nodeMeshPassword=SECRET)
    assert {each.address: each.password for each in made.neighbours} == {"192.0.2.99": None, "10.0.0.2": "s3cret"}
    assert not made.held_back and not found


def test_both_ends_of_a_peering_among_nodes_have_its_password() -> None:
    peer = BGPPeer.make("pair", node="n1", peerIP="10.0.0.2", password=SECRET)
    secrets = KnownSecrets("kube-system", {"bgp": READ})
    for name in ("n1", "n2"):
        made, _ = speaker_of(name, nodes(1, 2), None, [peer], secrets=secrets)
        assert [each.password for each in made.neighbours] == ["s3cret"]


def test_a_password_that_is_not_there_holds_its_sessions_back_and_is_a_notice() -> None:
    made, found = with_secret(KnownSecret(True), router(), nodeMeshPassword=SECRET)
    assert not made.neighbours
    assert {each.address: each.reason for each in made.held_back} == dict.fromkeys(
        ("192.0.2.99", "10.0.0.2"), "there is no Secret kube-system/bgp"
    )
    assert [(one.kind, one.field, one.effect) for one in found] == [
        ("BGPConfiguration", "spec.nodeMeshPassword", "its sessions are not brought up until the password is there"),
        ("BGPPeer", "spec.password", "its sessions are not brought up until the password is there"),
    ]


def test_a_right_that_is_lost_leaves_the_session_up_with_a_notice() -> None:
    made, [notice] = with_secret(replace(READ, trouble=LACKING), router(), nodeToNodeMeshEnabled=False)
    assert [each.password for each in made.neighbours] == ["s3cret"]
    assert str(notice) == (
        f'BGPPeer "router" spec.password: Secret kube-system/bgp cannot be read any more: {LACKING};'
        " its sessions go on with the password last read"
    )


def test_a_session_that_goes_on_with_its_old_password_follows_everything_else() -> None:
    """Another AS, another key, another Secret: only the password is as it was."""
    unreadable = replace(READ, trouble=LACKING)
    made, _ = with_secret(unreadable, router(asNumber=65002, keepaliveTime="5s"), **NO_MESH)
    assert [(each.peer_as, each.hold_time, each.password) for each in made.neighbours] == [(65002, 15, "s3cret")]
    other_key = {"secretKeyRef": {"name": "bgp", "key": "other"}}
    made, _ = with_secret(unreadable, router(password=other_key), **NO_MESH)
    assert [each.password for each in made.neighbours] == ["an0ther"]
    other_secret = {"secretKeyRef": {"name": "bgp2", "key": "password"}}
    made, _ = with_secret(unreadable, router(password=other_secret), **NO_MESH)
    assert [each.reason for each in made.held_back] == [
        "Secret kube-system/bgp2 has not been read yet: what the API server answers is in the agent's log"
    ]


def test_a_node_reads_the_secrets_of_its_own_sessions_only() -> None:
    def named(*peers: BGPPeer, node: str = "n1", **configuration: Any) -> dict[str, frozenset[str]]:
        default = BGPConfiguration.make("default", **configuration) if configuration else None
        return secrets_named(node, nodes(1, 2), default, peers)

    key = {"bgp": frozenset(("password",))}
    assert named(router()) == key
    assert named(router(node="n2")) == {}
    assert named(router(node="n2", peerIP="10.0.0.1", asNumber=64512)) == key, "the other end of it is here"
    assert named(router(filters=["reject-all"])) == {}, "it does not come up in any case"
    assert named(router(password=None)) == {}
    assert named(nodeMeshPassword=SECRET) == key
    assert secrets_named("n1", nodes(1), BGPConfiguration.make("default", nodeMeshPassword=SECRET), ()) == {}
    assert named(router(), node="n9") == {}
    other = {"secretKeyRef": {"name": "bgp", "key": "other"}}
    assert named(router(password=other), nodeMeshPassword=SECRET) == {"bgp": frozenset(("password", "other"))}


@pytest.mark.parametrize("asked", [{"filters": ["reject-all"]}, {"password": SECRET}])
def test_a_peer_whose_filter_or_password_cannot_be_honoured_is_held_back_with_the_reason(asked: dict[str, Any]) -> None:
    made = speaker("n1", nodes(1), BGPPeer.make("router", peerIP="192.0.2.99", asNumber=65001, **asked), **NO_MESH)
    assert not made.neighbours
    [held_back] = made.held_back
    assert (held_back.address, held_back.peer_as, held_back.kind) == ("192.0.2.99", 65001, "global")
    assert held_back.reason


def test_the_mesh_does_not_take_the_place_of_a_session_that_is_held_back_at_either_end() -> None:
    filtered = BGPPeer.make("filtered", node="n1", peerIP="10.0.0.2", filters=["reject-all"])
    for name, other in (("n1", "10.0.0.2"), ("n2", "10.0.0.1")):
        made = speaker(name, nodes(1, 2), filtered)
        assert not made.neighbours
        assert [each.address for each in made.held_back] == [other]


def test_a_peer_without_an_as_number_has_that_of_the_node_there_else_the_clusters() -> None:
    cluster = [*nodes(1), node("own", "10.0.0.2", ASNumber="65100")]
    router = BGPPeer.make("router", peerIP="192.0.2.99")
    there = BGPPeer.make("there", peerIP="10.0.0.2")
    found = sessions("n1", cluster, router, there, asNumber=65007)
    assert {address: each.peer_as for address, each in found.items()} == {"192.0.2.99": 65007, "10.0.0.2": 65100}


def test_a_peer_says_how_often_our_as_may_stand_in_a_path_and_whether_its_default_route_is_taken() -> None:
    plain = BGPPeer.make("plain", peerIP="192.0.2.98", asNumber=65001)
    allows: dict[str, Any] = {"annotations": {ACCEPT_DEFAULT_ROUTE: "true"}, "numAllowedLocalASNumbers": 2}
    uplink = BGPPeer.make("uplink", peerIP="192.0.2.99", asNumber=65001, **allows)
    found = sessions("n1", nodes(1), plain, uplink)
    assert found["192.0.2.98"].import_policy == ImportPolicy()
    assert found["192.0.2.99"].import_policy == ImportPolicy(own_as_allowed=2, default_route=True)


@pytest.mark.parametrize(
    ("asked", "peer", "source"),
    [
        ("None", "198.51.100.98:1790", "198.51.100.1"),
        ("None", "198.51.100.130", "198.51.100.129"),
        ("None", "203.0.113.9", "10.0.0.1"),
        ("None", "10.0.0.2", "10.0.0.1"),
        ("UseNodeIP", "198.51.100.98", "10.0.0.1"),
    ],
)
def test_a_session_without_source_address_starts_where_the_kernel_would_start_it(
    asked: str, peer: str, source: str
) -> None:
    interfaces = [ip_interface(text) for text in ("10.0.0.1/24", "198.51.100.1/24", "198.51.100.129/25", "fd00::1/64")]
    wanted = BGPPeer.make("tor", peerIP=peer, asNumber=65001, sourceAddress=asked)
    made, _ = speaker_of("n1", nodes(1, 2), None, [wanted], interfaces=interfaces)
    assert {each.address: each.local_address for each in made.neighbours}[peer.split(":")[0]] == source
    assert made.listen == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("name", "peers", "configuration", "has_some"),
    [
        ("n1", [], None, True),
        ("n1", [], MESHLESS, False),
        ("n9", [], None, False),
        ("n1", [BGPPeer.make("rr", peerIP="192.0.2.99")], MESHLESS, True),
        (
            "n1",
            [BGPPeer.make("rr", node="n2", peerIP="192.0.2.99")],
            MESHLESS,
            False,
        ),
        ("n1", [BGPPeer.make("held", peerIP="192.0.2.99", filters=["none"])], None, True),
    ],
)
def test_whether_a_node_has_a_session_is_known_without_all_of_them(
    name: str, peers: list[BGPPeer], configuration: BGPConfiguration | None, has_some: bool
) -> None:
    cluster = nodes(1, 2)
    assert has_session(name, cluster, configuration, peers) == has_some
    made, _ = speaker_of(name, cluster, configuration, peers)
    assert bool(made.neighbours or made.held_back) == has_some


def test_owners_are_known_where_a_peer_is_no_node_and_every_host_and_connected_network_always() -> None:
    router = BGPPeer.make("router", peerIP="192.0.2.99", asNumber=65001)
    owners = {Prefix.parse("10.65.2.0/26"): "n2", Prefix.parse("10.65.3.0/26"): "gone"}
    made, _ = speaker_of("n1", nodes(1, 2), None, [router], owners=owners)
    assert made.local.owners == ((Prefix.parse("10.65.2.0/26"), (pack("10.0.0.2"),)),)
    assert made.local.nodes == {pack("10.0.0.2")}
    assert made.local.hosts == frozenset(map(pack, ("10.0.0.1", "10.0.0.2", "192.0.2.99")))
    assert made.local.connected == (Prefix.parse("10.0.0.0/24"),)
    mesh, _ = speaker_of("n1", nodes(1, 2), None, [], owners=owners)
    assert mesh.local.owners == ()


def test_a_global_peer_is_everybodys_and_no_node() -> None:
    rack = BGPPeer.make("rack", peerIP="192.0.2.99:1179", asNumber=65001)
    for name in ("n1", "n2"):
        found = sessions(name, nodes(1, 2), rack, **NO_MESH)["192.0.2.99"]
        assert (found.kind, found.is_node, found.passive, found.port, found.peer_as) == (
            "global", False, False, 1179, 65001,
        )  # fmt: skip


def test_a_peer_of_one_node_or_of_those_selected() -> None:
    cluster = [node("a", "10.0.0.1", labels={"rack": "1"}), *nodes(2)]
    by_name = BGPPeer.make("by-name", node="a", peerIP="192.0.2.98", asNumber=65001)
    by_label = BGPPeer.make("by-label", nodeSelector="rack == '1'", peerIP="192.0.2.99", asNumber=65001)
    found = sessions("a", cluster, by_name, by_label, **NO_MESH)
    assert {(n.address, n.kind) for n in found.values()} == {("192.0.2.98", "node"), ("192.0.2.99", "node")}
    assert not sessions("n2", cluster, by_name, by_label, **NO_MESH)


def test_an_explicit_peer_wins_over_the_mesh_and_there_is_one_session_per_address() -> None:
    cluster = nodes(1, 2)
    explicit = BGPPeer.make("two", node="n1", peerIP="10.0.0.2", asNumber=64512, keepaliveTime="10s")
    [neighbour] = speaker("n1", cluster, explicit).neighbours
    assert (neighbour.kind, neighbour.hold_time, neighbour.is_node) == ("node", 30, True)


@pytest.mark.parametrize(
    ("keepalive", "hold"), [("500ms", 3), ("1s", 3), ("21845s", 65535), ("7h", 65535), ("2562047h", 65535)]
)
def test_the_hold_time_is_three_keepalives_within_what_an_open_can_hold(keepalive: str, hold: int) -> None:
    peer = BGPPeer.make("rack1", peerIP="192.0.2.99", asNumber=65001, keepaliveTime=keepalive)
    assert sessions("n1", nodes(1), peer)["192.0.2.99"].hold_time == hold


@pytest.mark.parametrize(("wanted", "restart"), [("0s", 1), ("4095s", 4095), ("2h", 4095), (FOREVER, 4095)])
def test_the_restart_time_is_within_what_the_capability_can_hold(wanted: str, restart: int) -> None:
    peer = BGPPeer.make("rack1", peerIP="192.0.2.99", asNumber=65001, maxRestartTime=wanted)
    assert sessions("n1", nodes(1), peer)["192.0.2.99"].restart_time == restart


def test_global_peers_come_before_those_of_a_node_then_the_first_name() -> None:
    late = BGPPeer.make("a", node="n1", peerIP="192.0.2.99", asNumber=1)
    early = BGPPeer.make("y", peerIP="192.0.2.99", asNumber=2)
    other = BGPPeer.make("z", peerIP="192.0.2.99", asNumber=3)
    assert sessions("n1", nodes(1), other, late, early)["192.0.2.99"].peer_as == 2


def test_a_peer_at_our_own_address_is_skipped() -> None:
    assert not sessions("n1", nodes(1), BGPPeer.make("me", peerIP="10.0.0.1", asNumber=64512))


def test_a_peer_of_a_family_the_node_lacks_is_skipped() -> None:
    assert not sessions("n1", nodes(1), BGPPeer.make("six", peerIP="fd00::99", asNumber=65001))


def test_peer_selector_means_every_matching_node_in_every_family_with_its_own_as() -> None:
    cluster = [
        *nodes(1),
        node("rr", "10.0.0.7", "fd00::7", labels={"rr": "yes"}, ASNumber="65007", RouteReflectorClusterID="1.0.0.1"),
    ]
    to_reflectors = BGPPeer.make("rr", peerSelector="has(rr)")
    found = sessions("n1", cluster, to_reflectors)
    assert {(n.address, n.peer_as, n.kind) for n in found.values()} == {("10.0.0.7", 65007, "global")}


def test_the_other_end_peers_back_unless_told_not_to() -> None:
    cluster = [*nodes(1), node("rr", "10.0.0.7", labels={"rr": "yes"}, RouteReflectorClusterID="1.0.0.1")]
    one_way = BGPPeer.make("rr", nodeSelector="!has(rr)", peerSelector="has(rr)")
    back = sessions("rr", cluster, one_way)["10.0.0.1"]
    assert (back.kind, back.is_node) == ("node", True)
    manual = BGPPeer.make("rr", nodeSelector="!has(rr)", peerSelector="has(rr)", reversePeering="Manual")
    assert not sessions("rr", cluster, manual)


def test_a_peer_ip_is_reversed_only_by_the_node_with_its_as_and_port() -> None:
    cluster = nodes(1, 2)
    to_two = BGPPeer.make("two", node="n1", peerIP="10.0.0.2", asNumber=64512)
    assert sessions("n2", cluster, to_two, **NO_MESH).keys() == {"10.0.0.1"}
    other_as = BGPPeer.make("two", node="n1", peerIP="10.0.0.2", asNumber=65001)
    assert not sessions("n2", cluster, other_as, **NO_MESH)
    other_port = BGPPeer.make("two", node="n1", peerIP="10.0.0.2:1179", asNumber=64512)
    assert not sessions("n2", cluster, other_port, **NO_MESH)


def test_a_local_as_is_what_the_reverse_end_expects() -> None:
    peer = BGPPeer.make("two", node="n1", peerIP="10.0.0.2", asNumber=64512, localASNumber=65100)
    assert sessions("n1", nodes(1, 2), peer, **NO_MESH)["10.0.0.2"].local_as == 65100
    assert sessions("n2", nodes(1, 2), peer, **NO_MESH)["10.0.0.1"].peer_as == 65100


def test_ttl_security_and_restart_time_of_a_peer() -> None:
    peer = BGPPeer.make("far", peerIP="192.0.2.99", asNumber=65001, ttlSecurity=3, maxRestartTime="2h")
    far = sessions("n1", nodes(1), peer)["192.0.2.99"]
    assert (far.ttl_hops, far.restart_time) == (3, 4095)


def test_the_local_node_has_its_own_blocks_and_addresses() -> None:
    block, pool = Prefix.parse("10.65.1.0/26"), Prefix.parse("10.65.0.0/16")
    made, _ = speaker_of("n1", [node("n1", "10.0.0.1", "fd00::1")], None, (), own_blocks=[block], pools=[pool])
    assert made.local.own_blocks == (block,)
    assert made.local.pools == (pool,)
    assert {unpack(address) for address in made.local.own_addresses} == {"10.0.0.1", "fd00::1"}


def test_a_node_nobody_knows_yet_speaks_to_nobody() -> None:
    made = speaker("ghost", nodes(1))
    assert not made.neighbours
    assert not made.listen


clusters = st.lists(
    st.builds(
        lambda number, six, as_number, rack, reflects: (number, six, as_number, rack, reflects),
        st.integers(1, 254),
        st.booleans(),
        st.sampled_from(["", "65001"]),
        st.sampled_from(["1", "2"]),
        st.booleans(),
    ),
    unique_by=lambda drawn: drawn[0],
    min_size=2,
    max_size=5,
).map(
    lambda drawn: [
        node(
            f"n{number}",
            f"10.0.0.{number}",
            f"fd00::{number}" if six else "",
            {"rack": rack},
            ASNumber=as_number,
            RouteReflectorClusterID="1.0.0.1" if reflects else "",
        )
        for number, six, as_number, rack, reflects in drawn
    ]
)
selectors = {"all": None, "one": "rack == '1'", "two": "rack == '2'"}
peerings = st.lists(
    st.builds(
        lambda near, far: BGPPeer.make(
            f"{near}-{far}", nodeSelector=selectors[near], peerSelector=selectors[far] or "all()"
        ),
        st.sampled_from(list(selectors)),
        st.sampled_from(list(selectors)),
    ),
    max_size=3,
    unique_by=lambda peer: peer.name,
)


@settings(deadline=None)  # a busy machine takes longer than the usual 0.2 s
@given(clusters, peerings, st.booleans())
def test_both_ends_have_the_session_agree_on_the_as_and_exactly_one_dials(
    cluster: list[Node], peers: list[BGPPeer], mesh: bool
) -> None:
    configured = {} if mesh else NO_MESH
    table = {one.name: sessions(one.name, cluster, *peers, **configured) for one in cluster}
    for ours in table.values():
        for session in ours.values():
            [back] = [
                other
                for theirs in table.values()
                for other in theirs.values()
                if (other.local_address, other.address) == (session.address, session.local_address)
            ]
            assert (back.peer_as, back.local_as) == (session.local_as, session.peer_as)
            assert back.passive != session.passive
            assert (back.hold_time, back.families) == (session.hold_time, session.families)
