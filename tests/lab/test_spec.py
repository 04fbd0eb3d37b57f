"""The spec says what it means, and says what is wrong with it."""

from __future__ import annotations

from ipaddress import ip_interface
from pathlib import Path

import pytest

from lab.spec import ExpectedRefusal, LabSpec, SpecError, about, parse, with_ipip

EXAMPLES = Path(__file__).parents[2] / "examples"


def addresses(spec: LabSpec) -> list[str]:
    return [str(address) for place in spec.hosts for address in place.addresses]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_lab(example: Path) -> None:
    assert parse(example.read_text()).nodes


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_says_in_its_first_line_what_it_shows(example: Path) -> None:
    assert about(example.read_text()).endswith((".", "`make lab`"))


def test_a_node_may_expect_that_some_of_its_pods_are_refused() -> None:
    spec = parse("nodes: [{name: a, pods: 3, refused: {pods: 2, error: is full}}, {name: b}]")
    assert [node.refusal for node in spec.nodes] == [ExpectedRefusal(2, "is full"), None]


def test_a_node_with_labels_is_there_before_its_agent() -> None:
    (node,) = parse("nodes: [{name: a, labels: {zone: east}}, {name: b}]").resources
    assert (node["kind"], node["metadata"]["name"]) == ("Node", "a")
    assert node["metadata"]["labels"] == {
        "kubernetes.io/hostname": "a",
        "kubernetes.io/os": "linux",
        "zone": "east",
    }


def test_three_nodes_have_six_pods_and_six_session_ends() -> None:
    spec = parse((EXAMPLES / "three-nodes.yaml").read_text())
    assert ([node.name for node in spec.nodes], spec.pods, spec.sessions) == (["n1", "n2", "n3"], 6, 6)


def test_a_number_of_nodes_takes_turns_on_the_subnets() -> None:
    spec = parse("nodes: 3\nsubnets: [{name: a, ipv4: 192.0.2.0/25}, {name: b, ipv4: 192.0.2.128/25}]")
    assert [(node.name, node.subnet) for node in spec.nodes] == [("n1", "a"), ("n2", "b"), ("n3", "a")]
    assert addresses(spec) == ["192.0.2.1/25", "192.0.2.129/25", "192.0.2.2/25"]


def test_addresses_that_are_written_are_skipped_by_those_that_are_not() -> None:
    spec = parse("nodes: [{name: a, ipv4: 192.0.2.1}, {name: b}, {name: c, ipv4: 192.0.2.7}, {name: d}]")
    assert addresses(spec) == ["192.0.2.1/24", "192.0.2.2/24", "192.0.2.7/24", "192.0.2.3/24"]


def test_the_router_has_the_last_address_of_a_subnet() -> None:
    subnet = parse("nodes: 1\nsubnets: [{name: a, ipv4: 192.0.2.0/24, ipv6: 2001:db8::/64}]").subnets[0]
    assert subnet.gateways == (ip_interface("192.0.2.254/24"), ip_interface("2001:db8::ffff:ffff:ffff:fffe/64"))


def test_a_peer_gets_a_bgp_peer_resource_and_two_session_ends_with_every_node() -> None:
    spec = parse("nodes: 2\npeers: [{name: tor, as: 64600, networks: [198.51.100.0/24]}]")
    assert spec.sessions == 2 + 4
    assert spec.resources[0]["kind"] == "BGPPeer"
    assert spec.resources[0]["spec"] == {"peerIP": "192.0.2.3", "asNumber": 64600}


def test_two_families_have_a_session_each() -> None:
    both = "subnets: [{name: a, ipv4: 192.0.2.0/24, ipv6: 2001:db8::/64}]"
    assert parse(f"nodes: 3\n{both}").sessions == 2 * 6
    assert parse(f"nodes: 3\n{both}\npeers: [{{name: tor}}]").sessions == 2 * 6 + 2 * 6


def test_a_node_learns_the_networks_of_the_families_it_shares_with_a_peer() -> None:
    spec = parse("""
        subnets: [{name: a, ipv4: 192.0.2.0/24, ipv6: 2001:db8::/64}, {name: b, ipv4: 198.51.100.0/24}]
        nodes: 2
        peers: [{name: tor, networks: [203.0.113.0/24, "2001:db8:f::/48"]}]
    """)
    assert spec.outside_networks == {"n1": {"203.0.113.0/24", "2001:db8:f::/48"}, "n2": {"203.0.113.0/24"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the spec: must be a mapping of keys to values, not nothing"),
        ("nodes: [", r"not YAML \(line 1, column 9\)"),
        ("pods: 1", "nodes: say how many"),
        ("nodes: true", "nodes: say how many"),
        ("nodes: 0", "nodes: 0 is not between 1 and 100"),
        ("nodes: []", "list at least one"),
        ("nodes: 2\nnode: 3", "the spec: unknown key 'node'; it may hold name, subnets"),
        ("nodes: [{name: N1}]", "nodes.name: 'N1' must be 1 to 12 of a-z"),
        ("nodes: [{name: n1}, {name: n1}]", "nodes: the name 'n1' is used twice"),
        ("nodes: [{name: a}]\npeers: [{name: a}]", "nodes and peers: the name 'a' is used twice"),
        ("nodes: [{name: a, subnet: x}]", "nodes.a.subnet: there is no subnet 'x'; known: fabric"),
        ("nodes: [{name: a, ipv4: 10.0.0.1}]", "nodes.a.ipv4: 10.0.0.1 does not lie in its subnet 192.0.2.0/24"),
        ("nodes: [{name: a, ipv4: x}]", "nodes.a.ipv4: 'x' is not an IP address"),
        ("nodes: [{name: a, ipv4: 192.0.2.254}]", "nodes.a.ipv4: 192.0.2.254 is taken already"),
        ("nodes: [{name: a, pods: many}]", "nodes.a.pods: 'many' is not a number of pods"),
        ("nodes: [{name: a, pods: 501}]", "nodes.a.pods: 501 is not a number of pods between 0 and 500"),
        ("nodes: [{name: a, pods: 1, refused: {pods: 2, error: x}}]", "2 is not between 1 and the node's 1 pods"),
        ("nodes: [{name: a, pods: 1, refused: {pods: 1}}]", "nodes.a.refused.error: needs words of the error"),
        ("nodes: [{name: a, labels: east}]", "nodes.a.labels: must be a mapping"),
        ("nodes: 9\nsubnets: [{name: a, ipv4: 192.0.2.0/29}]", "subnet 192.0.2.0/29 has no address left"),
        ("nodes: 1\nsubnets: [{name: a, ipv4: 192.0.2.0/30}]", "192.0.2.0/30 is too small for a router and two nodes"),
        ("nodes: 1\nsubnets: [{name: a, ipv4: 192.0.2.1/24}]", "subnets.a.ipv4: .* 192.0.2.0/24 is meant?"),
        ("nodes: 1\nsubnets: [{name: a, ipv4: 2001:db8::/64}]", "subnets.a.ipv4: 2001:db8::/64 is not IPv4"),
        ("nodes: 1\nsubnets: [{name: a}]", "subnets.a: needs ipv4, ipv6 or both"),
        ("nodes: 1\npools: [{cidr: 10.0.0.0/8}]", "pools.name: every pool needs a name"),
        ("nodes: 1\npools: [{name: p, cidr: 10}]", 'pools.p.cidr: "10" is not an IP address'),
        ("nodes: 1\npools: [{name: p, cidr: 10.0.0.1/8}]", "pools.p.cidr: .* 10.0.0.0/8 is meant?"),
        ("nodes: 1\npeers: [{name: p, as: 0}]", "peers.p.as: 0 is not an AS number"),
        ("nodes: 1\npeers: [{name: p, speaker: quagga}]", "'quagga' is not one of bird, frr, gobgp"),
        ("nodes: 1\nresources: [{kind: Node}]", r"resources\[0\]: needs apiVersion, kind and metadata"),
    ],
)
def test_a_bad_spec_is_refused_with_a_sentence_about_its_key(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse(text)


def test_one_ipip_mode_for_all_pools_of_ipv4() -> None:
    text = (EXAMPLES / "dual-stack.yaml").read_text()
    modes = {each["spec"]["cidr"]: each["spec"].get("ipipMode") for each in parse(with_ipip(text, "Always")).resources}
    assert modes == {"10.65.0.0/16": "Always", "fd00:65::/64": None}
    assert not parse(text).tunnels
    assert parse(with_ipip("nodes: 2", "CrossSubnet")).tunnels
    with pytest.raises(SpecError, match="ipipMode 'Some'"):
        with_ipip(text, "Some")
