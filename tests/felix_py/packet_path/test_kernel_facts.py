"""What is read of a kernel, in namespaces.

node: eth0 192.0.2.1/24 ── far, cali1 ── eth0 10.65.1.1 :pod
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest

from felix_py.packet_path.filter_facts import CalledSession
from felix_py.packet_path.kernel_facts import NAMESPACES, kernel_facts, with_devices
from felix_py.status_model import DeviceFacts, FilteredTraffic, KernelFacts, NeighbourFacts, Passage
from kernel.links import Devices
from kernel.netns import inside
from net.prefix import pack
from tests.kernel.netns import Namespace, namespace

POD, OTHER = pack("10.65.1.1"), pack("10.65.2.1")


@pytest.fixture(scope="module")
def node() -> Iterator[Namespace]:
    with namespace("facts") as node, namespace("facts-pod") as pod:
        node.batch(
            "link set lo up\n"
            "link add eth0 type veth peer name far\n"
            "addr add 192.0.2.1/24 dev eth0\n"
            "link set eth0 up\n"
            "link set far up\n"
            f"link add cali1 type veth peer name eth0 netns {pod.name}\n"
            "link set cali1 up mtu 1440\n"
            "route add 10.65.1.1 dev cali1 proto 80 metric 1030\n"
            "route add 10.65.2.0/26 via 192.0.2.2 proto 81 metric 1030\n"
            "route add blackhole 10.65.3.0/26 proto 80 metric 1030\n"
            "route add prohibit 10.65.4.0/26\n"
        )
        pod.batch(
            "addr add 10.65.1.1/32 dev eth0\n"
            "link set eth0 up mtu 1440\n"
            "route add 169.254.1.1 dev eth0\n"
            "route add default via 169.254.1.1 dev eth0\n"
        )
        yield node


def facts(
    node: Namespace, to: str, pods: Mapping[bytes, str] = MappingProxyType({}), namespaces: Path = NAMESPACES
) -> KernelFacts:
    with inside(node.descriptor):
        return kernel_facts(pack(to), POD, pods, namespaces)


def device(found: KernelFacts, name: str) -> DeviceFacts:
    (one,) = (one for one in found.devices if one.name == name)
    return one


@pytest.mark.parametrize(
    ("to", "text"),
    [
        ("10.65.1.1", "10.65.1.1/32 dev cali1 proto 80 metric 1030 scope link"),
        ("10.65.2.1", "10.65.2.0/26 via 192.0.2.2 dev eth0 proto 81 metric 1030"),
        ("10.65.3.1", "blackhole 10.65.3.0/26 proto 80 metric 1030"),
        ("10.65.4.1", "prohibit 10.65.4.0/26 proto 3"),
    ],
)
def test_the_route_of_each_address_is_the_entry_that_carries_it(node: Namespace, to: str, text: str) -> None:
    assert str(facts(node, to).routes[to]) == text


def test_an_address_without_route_has_none(node: Namespace) -> None:
    assert facts(node, "198.51.100.1").routes["198.51.100.1"] is None


def test_devices_are_those_with_an_address_and_those_concerned(node: Namespace) -> None:
    found = facts(node, "10.65.2.1")
    assert {one.name for one in found.devices} == {"eth0", "cali1"}, "neither lo nor the far end of a cable"
    eth0, cali1 = device(found, "eth0"), device(found, "cali1")
    assert (eth0.up, eth0.carrier, eth0.addresses) == (True, True, ("192.0.2.1",))
    assert (cali1.mtu, cali1.kind) == (1440, "veth")


@pytest.mark.parametrize(
    ("of_node", "of_device", "forwards", "own_switch"),
    [("0", "0", False, ()), ("0", "1", True, ()), ("1", "0", False, ("4",)), ("1", "1", True, ())],
)
def test_the_device_alone_decides_whether_ipv4_is_forwarded(
    node: Namespace, of_node: str, of_device: str, forwards: bool, own_switch: tuple[str, ...]
) -> None:
    for switch in (f"ip_forward={of_node}", f"conf.eth0.forwarding={of_device}"):
        node.run("sysctl", "-qw", f"net.ipv4.{switch}")
    eth0 = device(facts(node, "10.65.2.1"), "eth0")
    assert (eth0.forwarding["4"], eth0.own_switch) == (forwards, own_switch)


@pytest.mark.parametrize("of_node", ["0", "1"])
def test_the_node_decides_whether_ipv6_is_forwarded(node: Namespace, of_node: str) -> None:
    other = str(1 - int(of_node))
    for switch in (f"all.forwarding={of_node}", f"eth0.forwarding={other}"):
        node.run("sysctl", "-qw", f"net.ipv6.conf.{switch}")
    assert device(facts(node, "10.65.2.1"), "eth0").forwarding["6"] is (of_node == "1")


def test_a_pod_is_read_in_its_own_namespace(node: Namespace) -> None:
    found = facts(node, "10.65.2.1", {POD: "cali1"})
    (pod,) = found.pods.values()
    assert found.unentered == {}
    assert (pod.device.name, pod.device.mtu, pod.device.addresses) == ("eth0", 1440, ("10.65.1.1",))
    assert pod.route and str(pod.route).startswith("0.0.0.0/0 via 169.254.1.1 dev eth0")


def test_a_pod_whose_namespace_has_no_name_is_left_out_and_it_is_said_why(node: Namespace, tmp_path: Path) -> None:
    found = facts(node, "10.65.2.1", {POD: "cali1"}, tmp_path)
    assert (found.pods, found.unentered) == ({}, {"10.65.1.1": f"{tmp_path} has no network namespaces"})


def test_a_file_that_is_no_namespace_is_passed_over_and_counted(node: Namespace, tmp_path: Path) -> None:
    """So is what a runtime names after a container has got the folder, where its mount does not follow the host's."""
    (tmp_path / "odd").write_text("")
    found = facts(node, "10.65.2.1", {POD: "cali1"}, tmp_path)
    assert found.pods == {}
    assert "has no network namespaces, and 1 files that are none, as where" in found.unentered["10.65.1.1"]


def test_a_pod_that_none_of_the_namespaces_is_of_is_left_out(node: Namespace, tmp_path: Path) -> None:
    (node_name,) = (path.name for path in NAMESPACES.glob("felix-facts-*") if "pod" not in path.name)
    (tmp_path / "node").symlink_to(NAMESPACES / node_name)
    found = facts(node, "10.65.2.1", {POD: "cali1"}, tmp_path)
    assert found.pods == {}
    assert found.unentered["10.65.1.1"] == f"none of the 1 network namespaces in {tmp_path} has its address"


def test_of_two_namespaces_with_one_address_the_pods_own_is_the_other_end_of_its_device(node: Namespace) -> None:
    """A pod that is being removed may still have the address that the next one was given."""
    with namespace("aaa-leaving") as leaving:
        leaving.batch("link add eth0 type veth peer name far\naddr add 10.65.1.1/32 dev eth0\n")
        (pod,) = facts(node, "10.65.2.1", {POD: "cali1"}).pods.values()
        assert pod.device.mtu == 1440
        assert pod.route, "the one that leaves has no route any more"


def test_the_packet_filters_of_a_pods_own_namespace_are_asked(node: Namespace) -> None:
    (pod_name,) = (path.name for path in NAMESPACES.glob("felix-facts-pod-*"))

    def nft(*lines: str) -> None:
        for line in lines:
            node.run("ip", "netns", "exec", pod_name, "nft", line)

    def found() -> list[tuple[str, str, str]]:
        (pod,) = facts(node, "10.65.2.1", {POD: "cali1"}).pods.values()
        assert pod.unread == ()
        hits = [(one.source, one.destination, one.outcome.dropped) for one in pod.filtered]
        return [(source, destination, hit.chain if hit else "") for source, destination, hit in hits]

    assert found() == []
    nft("add table ip f", "add chain ip f in { type filter hook input priority 0; policy drop; }")
    assert found() == [("10.65.2.1", "10.65.1.1", "in")]
    nft("add rule ip f in ct state established accept")
    assert found() == [], "the pod begins, and gets answers only"
    nft("add chain ip f out { type filter hook output priority 0; }", "add rule ip f out oifname eth0 drop")
    assert found() == [("10.65.1.1", "10.65.2.1", "out")]
    nft("delete table ip f")


def test_what_a_pods_next_hop_is_taken_for_is_read(node: Namespace) -> None:
    (pod_name,) = (path.name for path in NAMESPACES.glob("felix-facts-pod-*"))
    add = ("ip", "-n", pod_name, "neigh", "replace", "169.254.1.1", "dev", "eth0", "nud", "permanent")
    node.run(*add, "lladdr", "02:00:00:00:00:01")
    (pod,) = facts(node, "10.65.2.1", {POD: "cali1"}).pods.values()
    assert pod.gateway == NeighbourFacts("169.254.1.1", "eth0", "02:00:00:00:00:01", permanent=True)


def test_a_next_hop_that_did_not_answer_is_marked(node: Namespace) -> None:
    node.ip("neigh replace 192.0.2.2 dev eth0 nud failed")
    assert facts(node, "10.65.2.1").neighbours == (NeighbourFacts("192.0.2.2", "eth0", unanswered=True),)


def test_a_packet_that_comes_in_by_a_device_is_looked_up_by_the_rules(node: Namespace) -> None:
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
    plain = facts(node, "10.65.2.1", {POD: "cali1"}).passage("10.65.1.1", "10.65.2.1")
    assert plain and plain.route and (plain.route.gateway, plain.table, plain.rule) == ("192.0.2.2", 254, "")
    node.batch("route add default via 192.0.2.9 table 77\nrule add pref 100 from 10.65.1.1 lookup 77\n")
    led = facts(node, "10.65.2.1", {POD: "cali1"}).passage("10.65.1.1", "10.65.2.1")
    node.ip("rule del pref 100")
    assert led and led.route and (led.route.gateway, led.table) == ("192.0.2.9", 77)
    assert led.rule == "100: from 10.65.1.1/32 lookup 77"


def test_a_rule_that_ends_the_way_is_named(node: Namespace) -> None:
    node.ip("rule add pref 100 from 10.65.1.1 prohibit")
    ended = facts(node, "10.65.2.1", {POD: "cali1"}).passage("10.65.1.1", "10.65.2.1")
    node.ip("rule del pref 100")
    assert ended and ended.refused and ended.rule == "100: from 10.65.1.1/32 prohibit"


def test_packet_filters_of_every_kind_are_asked(node: Namespace) -> None:
    assert facts(node, "10.65.2.1", {POD: "cali1"}).filtered == ()
    for tool in ("iptables-legacy", "iptables-nft"):
        node.run(tool, "-P", "FORWARD", "DROP")
        found = facts(node, "10.65.2.1", {POD: "cali1"}).filtered
        node.run(tool, "-P", "FORWARD", "ACCEPT")
        hits = [(one.source, one.outcome.dropped.chain if one.outcome.dropped else "") for one in found]
        assert hits == [("10.65.1.1", "FORWARD"), ("10.65.2.1", "FORWARD")]


def test_sessions_are_asked_about_with_the_addresses_given(node: Namespace) -> None:
    node.run("iptables-legacy", "-P", "INPUT", "DROP")
    session = CalledSession(pack("192.0.2.1"), pack("192.0.2.2"), passive=True)
    with inside(node.descriptor):
        found = kernel_facts(pack("10.65.2.1"), POD, {}, NAMESPACES, [session])
    node.run("iptables-legacy", "-P", "INPUT", "ACCEPT")
    assert [(one.traffic, one.destination) for one in found.filtered] == [(FilteredTraffic.BGP, "192.0.2.2")]


def test_the_device_towards_a_sessions_peer_is_the_one_of_its_route(node: Namespace) -> None:
    own = pack("192.0.2.1")
    sessions = [CalledSession(own, pack(peer), passive=True) for peer in ("192.0.2.2", "198.51.100.1")]
    with inside(node.descriptor), closing(Devices()) as here:
        names = {index: link.name for index, link in here.links().items()}
        assert [one.device for one in with_devices(sessions, names)] == ["eth0", None]


def test_chains_of_devices_are_asked_about_packets_between_pods_and_about_sessions(node: Namespace) -> None:
    node.run("nft", "add table netdev f")
    node.run("nft", "add chain netdev f i { type filter hook ingress device eth0 priority 0; policy drop; }")
    session = CalledSession(pack("192.0.2.1"), pack("192.0.2.2"), passive=True)
    with inside(node.descriptor):
        found = kernel_facts(pack("10.65.2.1"), POD, {POD: "cali1"}, NAMESPACES, [session]).filtered
    node.run("nft", "delete table netdev f")
    assert [(one.traffic, one.source, str(one.outcome.dropped)) for one in found] == [
        (FilteredTraffic.ENDS, "10.65.2.1", "nft table netdev f, chain i, policy drop"),
        (FilteredTraffic.BGP, "192.0.2.1", "nft table netdev f, chain i, policy drop"),
    ]


def test_how_a_device_checks_sources_is_the_stricter_of_two_sysctls(node: Namespace) -> None:
    node.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth0.rp_filter=1")
    assert device(facts(node, "10.65.2.1"), "eth0").reverse_path == 1
    node.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2", "net.ipv4.conf.cali1.proxy_arp=0")
    found = facts(node, "10.65.2.1", {POD: "cali1"})
    assert (device(found, "eth0").reverse_path, device(found, "cali1").proxy_arp) == (2, False)


def test_ipv6_packets_that_come_in_are_looked_up_by_the_rules_too(node: Namespace) -> None:
    near, far = pack("fd00:65::1"), pack("fd00:66::1")
    node.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    for words in ("fd00:65::1 dev cali1", "fd00:66::/64 dev eth0", "default dev eth0 table 77"):
        node.ip(f"-6 route add {words}")

    def passage() -> Passage | None:
        with inside(node.descriptor):
            return kernel_facts(far, near, {near: "cali1"}).passage("fd00:65::1", "fd00:66::1")

    plain = passage()
    node.ip("-6 rule add pref 100 from fd00:65::/64 lookup 77")
    led = passage()
    node.ip("-6 rule del pref 100")
    node.ip("-6 rule add pref 100 from fd00:65::/64 prohibit")
    ended = passage()
    node.ip("-6 rule del pref 100")
    assert plain and plain.route and (str(plain.route.prefix), plain.refused) == ("fd00:66::/64", "")
    assert led and led.route and (led.table, led.rule) == (77, "100: from fd00:65::/64 lookup 77")
    assert ended and not (ended.route and ended.route.forwards)
