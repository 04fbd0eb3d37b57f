"""`felixctl lab why` on a broken cluster, one fault at a time: it names the broken step and its cause.

n1-1 ── n1 eth0 ──┬── rack1 ──┬── eth0 n2 ── n2-1
                  └── router ─┘  (takes packets that no route is for)
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.scenarios.cluster import Lab, Refused, lab_of, until

SETTINGS = {"FELIX_REPAIR": "false", "FELIX_ROUTEREFRESHINTERVAL": "0"}
SPEC = {
    "subnets": [{"name": "rack1", "ipv4": "192.0.2.0/24"}],
    "nodes": [{"name": name, "subnet": "rack1", "settings": SETTINGS} for name in ("n1", "n2")],
    "pods": 1,
    "pools": [{"name": "pods", "cidr": "10.65.0.0/16", "natOutgoing": False}],
}


@dataclass(frozen=True)
class Explanation:
    status: int
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> tuple[str, str, str]:
        """Where the first broken step is, what it is about, and its cause."""
        first = self.answer.get("broken") or {"where": "", "about": "", "text": ""}
        return first["where"], first["about"], first["text"]


def command(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "felixctl", "lab", *arguments, "--lab", lab.running.name]
    return subprocess.run(whole, capture_output=True, text=True)


def why(lab: Lab, one: str = "n1-1", other: str = "n2-1") -> Explanation:
    done = command(lab, "why", one, other, "-o", "json")
    return Explanation(done.returncode, json.loads(done.stdout) if done.stdout else {})


def reaches(lab: Lab, size: int = 56) -> bool:
    """Whether a real packet of this size gets from n1-1 to n2-1 and back."""
    options = ("-c", "1", "-W", "1", "-s", str(size), "-M", "do")
    printed = lab.run("n1-1", "ping", *options, address(lab, "n2-1"), check=False)
    return " 0% packet loss" in printed


def address(lab: Lab, pod: str) -> str:
    return str(next(one["addresses"][0] for one in lab.report["pods"] if one["name"] == pod))


def felixctl(lab: Lab, *words: str, text: str = "") -> str:
    """Run felixctl on n1; text: what it reads from its standard input."""
    python = f"FELIX_DATASTORE=sqlite:///srv/felix/cluster.db {sys.executable} -m felixctl"
    quoted = " ".join(f"'{word}'" for word in words)
    return lab.run("n1", "sh", "-c", f"printf %s '{text}' | {python} {quoted}")


@pytest.fixture(scope="module")
def module_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_of(SPEC, tmp_path_factory.mktemp("why")) as lab:
        yield lab


@pytest.fixture
def lab(module_lab: Lab) -> Iterator[Lab]:
    yield module_lab
    until(
        lambda: reaches(module_lab) and module_lab.settled() and not doubted(module_lab),
        "the fault of the test before is gone",
    )


def doubted(lab: Lab) -> bool:
    """Whether a node asks, or asked in vain, if the other is still there.

    Packets go there meanwhile; but the kernel may have asked while the link was down, and take it for dead afterwards.
    """
    others = {"n1": "192.0.2.2", "n2": "192.0.2.1"}
    shown = "".join(lab.run(node, "ip", "neigh", "show", other) for node, other in others.items())
    return "PROBE" in shown or "FAILED" in shown


@contextmanager
def changed(lab: Lab, place: str, change: str, undo: str) -> Iterator[None]:
    lab.run(place, "sh", "-c", change)
    try:
        yield
    finally:
        lab.run(place, "sh", "-c", undo)


@contextmanager
def peer(lab: Lab, **spec: Any) -> Iterator[None]:
    """Have n1 peer with n2 by a BGPPeer instead of the mesh."""
    record = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "BGPPeer",
        "metadata": {"name": "odd"},
        "spec": {"node": "n1", "peerIP": "192.0.2.2", **spec},
    }
    felixctl(lab, "apply", "-f", "-", text=json.dumps(record))
    try:
        yield
    finally:
        before = session_of(lab)
        felixctl(lab, "delete", "bgppeer", "odd")
        until(lambda: is_renewed(lab, "mesh", before), "the mesh's session is up")


def session_of(lab: Lab) -> dict[str, Any]:
    (found,) = lab.page("n1", "status")["peers"]
    return dict(found)


def is_renewed(lab: Lab, kind: str, before: dict[str, Any]) -> bool:
    now = session_of(lab)
    return (now["kind"], now["state"]) == (kind, "up") and now["since"] > before["since"]


def has_no_learned_route(lab: Lab) -> bool:
    """Whether n1 has no learned route left."""
    return not lab.routes("n1", "proto", "81")


def test_where_nothing_is_broken_every_hop_is_shown(lab: Lab) -> None:
    printed = command(lab, "why", "n1-1", "n2-1")
    assert printed.returncode == 0, printed.stderr
    learned = lab.routes("n1", "proto", "81").split()[0]
    for words in (
        f"{learned} via 192.0.2.2 dev eth0 proto 81 metric 1030 (learned)",
        "learned over the session with 192.0.2.2, up since",
        "eth0 to n2, MTU 1500, no encapsulation",
        "0.0.0.0/0 via 169.254.1.1 dev eth0",
        f"{address(lab, 'n2-1')} arrives by eth0",
        "nothing between default/n1-1 and default/n2-1 is broken",
    ):
        assert words in printed.stdout
    assert "✗" not in printed.stdout
    assert reaches(lab)


def test_on_a_node_its_own_part_is_shown_and_the_other_node_is_named_as_out_of_sight(lab: Lab) -> None:
    printed = felixctl(lab, "why", "n1-1", "n2-1")
    assert "0.0.0.0/0 via 169.254.1.1 dev eth0" in printed, "n1 looks into its own pod"
    assert "its agent answers on n2 only; run felixctl why n1-1 n2-1 there too" in printed
    assert "nothing that can be seen between default/n1-1 and default/n2-1 is broken; out of sight: n2" in printed


def test_a_link_without_carrier_is_found(lab: Lab) -> None:
    with changed(lab, "world", "ip link set n2 down", "ip link set n2 up"):
        until(lambda: "LOWER_UP" not in lab.run("n2", "ip", "link", "show", "eth0"), "n2 has lost its carrier")
        where, about, cause = why(lab).broken
        assert (where, about) == ("n2", "link")
        assert "device eth0 is up, but its link is down (no carrier)" in cause
        assert not reaches(lab)


def test_a_device_that_is_down_is_found_with_its_repair(lab: Lab) -> None:
    (device,) = [word for word in lab.routes("n2", address(lab, "n2-1")).split() if word.startswith("cali")]
    with changed(lab, "n2", f"ip link set {device} down", f"ip link set {device} up"):
        found = why(lab)
        assert found.broken == ("n2", "device", f"device {device} is down")
        assert f"ip link set {device} up" in found.answer["broken"]["repair"]
        assert not reaches(lab)


def test_a_node_that_does_not_forward_is_found(lab: Lab) -> None:
    switch = "/proc/sys/net/ipv4/ip_forward"
    with changed(lab, "n2", f"echo 0 > {switch}", f"echo 1 > {switch}"):
        found = why(lab)
        where, about, cause = found.broken
        assert (where, about) == ("n2", "forwarding")
        assert "net.ipv4.ip_forward is off" in cause
        assert found.status == 1
        assert not reaches(lab)


def test_a_deleted_route_is_found_and_its_repair_works(lab: Lab) -> None:
    learned = lab.routes("n1", "proto", "81").split()[0]
    lab.run("n1", "ip", "route", "del", learned, "proto", "81")
    found = why(lab)
    where, about, cause = found.broken
    assert (where, about) == ("n1", "route")
    assert cause.startswith(f"learned wants {learned} via 192.0.2.2 dev eth0")
    assert "the kernel does not have it: it was deleted, and repair is off" in cause
    assert not reaches(lab)
    lab.run("n1", *found.answer["broken"]["repair"].partition(" -- ")[2].split())
    assert reaches(lab), "the command that repairs it does"


def test_an_mtu_too_small_at_the_far_end_of_a_link_is_found(lab: Lab) -> None:
    with changed(lab, "n2", "ip link set eth0 mtu 1300", "ip link set eth0 mtu 1500"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("n1 to n2", "mtu")
        assert cause == "MTU too small: eth0 of n2 takes 1300 bytes, and eth0 of n1 sends up to 1500"
        assert reaches(lab)
        assert not reaches(lab, size=1400)


def test_an_address_without_a_pod_ends_in_the_blackhole_of_its_block(lab: Lab) -> None:
    network, _, last = address(lab, "n2-1").rpartition(".")
    free = f"{network}.{int(last) + 9}"
    where, about, cause = why(lab, other=free).broken
    assert (where, about) == ("n2", "blackhole")
    assert "the packet hits blackhole" in cause
    assert f"no pod of n2 has {free}" in cause


def test_a_session_that_is_down_for_a_wrong_as_is_found(lab: Lab) -> None:
    with peer(lab, asNumber=64999):
        # What an established session brought is refused by the new AS number before the session itself ends.
        until(lambda: session_of(lab)["state"] != "up" and has_no_learned_route(lab), "the session has ended")
        where, about, cause = why(lab).broken
        assert (where, about) == ("n1", "session")
        assert "session with n2 (192.0.2.2) is down" in cause
        assert "wrong AS, n2 is AS 64512 and AS 64999 is configured for it" in cause
        assert not reaches(lab)


def test_a_session_that_is_down_is_found(lab: Lab) -> None:
    """n1's answers from BGP's port are dropped while its speaker restarts; a short restart time ends its routes.

    The time is n1's alone: if n2 took it too, the session would be made anew once more, whenever n2 gets to it.
    """
    rule = "ipproto tcp sport 179 prohibit"
    before = session_of(lab)
    with peer(lab, asNumber=64512, maxRestartTime="1s", reversePeering="Manual"):
        until(lambda: is_renewed(lab, "node", before), "the session is up by the BGPPeer's settings")
        with changed(lab, "n1", f"ip rule add {rule}", f"ip rule del {rule}"):
            lab.ask("kill", node="n1", what="exabgp")
            until(lambda: has_no_learned_route(lab), "the routes learned over it have gone")
            where, about, cause = why(lab).broken
            assert (where, about) == ("n1", "session")
            assert "session with n2 (192.0.2.2) is down since" in cause
            assert "wrong AS" not in cause
            assert not reaches(lab)


FILTERS = (
    (
        "n1",
        "nft add table ip f; nft add chain ip f forward '{ type filter hook forward priority 0; policy drop; }'",
        "nft delete table ip f",
        "nft table ip f, chain forward, policy drop",
    ),
    (
        "n2",
        "iptables-legacy -P FORWARD DROP",
        "iptables-legacy -P FORWARD ACCEPT; iptables-legacy -F FORWARD",
        "iptables-legacy table filter, chain FORWARD, policy drop",
    ),
    (
        "n2",
        "iptables-nft -N OWN; iptables-nft -A FORWARD -i eth0 -j OWN; iptables-nft -A OWN -d 10.65.0.0/16 -j REJECT",
        "iptables-nft -F; iptables-nft -X",
        "nft table ip filter, chain FORWARD, from there in chain OWN, rule: daddr 10.65.0.0/16 reject",
    ),
    (
        "n1",
        "printf '%s\\n' 'table inet g {' 'chain in {' 'type filter hook forward priority 5' 'policy accept' "
        "'ct state vmap { established : accept, invalid : drop }' 'iifname { \"lo\", \"eth0\" } accept' 'drop' '}' '}'"
        " | nft -f -",
        "nft delete table inet g",
        "nft table inet g, chain in, rule: drop",
    ),
    (
        "n1",
        "nft add table netdev f;"
        " nft add chain netdev f i '{ type filter hook ingress device eth0 priority 0; policy accept; }';"
        " nft add rule netdev f i ip daddr 10.65.0.0/16 drop",
        "nft delete table netdev f",
        "nft table netdev f, chain i, rule: ethertype 0x0800 daddr 10.65.0.0/16 drop",
    ),
)


@pytest.mark.parametrize(("node", "change", "undo", "named"), FILTERS)
def test_a_packet_filter_that_drops_is_named_and_its_repair_works(
    lab: Lab, node: str, change: str, undo: str, named: str
) -> None:
    with changed(lab, node, change, undo):
        found = why(lab)
        where, about, cause = found.broken
        assert (where, about, found.status) == (node, "filter", 1)
        assert named in cause
        assert not reaches(lab)
        lab.run(node, *found.answer["broken"]["repair"].partition(" -- ")[2].split())
        assert reaches(lab), "the command that repairs it does"
        assert why(lab).status == 0


def test_a_packet_filter_in_the_pod_is_named_and_its_repair_works(lab: Lab) -> None:
    change = "nft add table ip f; nft add chain ip f in '{ type filter hook input priority 0; policy drop; }'"
    with changed(lab, "n2-1", change, "nft delete table ip f"):
        found = why(lab)
        where, about, cause = found.broken
        assert (where, about) == ("default/n2-1", "filter")
        assert "nft table ip f, chain in, policy drop" in cause
        assert not reaches(lab)
        lab.run("n2-1", *found.answer["broken"]["repair"].partition(" -- ")[2].split())
        assert reaches(lab), "the command that repairs it does"
        assert why(lab).status == 0


def test_a_packet_filter_that_concerns_others_is_no_reason(lab: Lab) -> None:
    with changed(lab, "n1", "iptables-legacy -A FORWARD -s 10.99.0.0/16 -j DROP", "iptables-legacy -F FORWARD"):
        assert why(lab).status == 0
        assert reaches(lab)


def test_a_chain_that_drops_bgp_is_named_while_the_routes_are_still_there(lab: Lab) -> None:
    change = "iptables-legacy -A INPUT -p tcp --dport 179 -j DROP; iptables-legacy -A INPUT -p tcp --sport 179 -j DROP"
    with changed(lab, "n1", change, "iptables-legacy -F INPUT"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("n1", "session")
        assert "drops BGP (port 179) with 192.0.2.2: iptables-legacy table filter, chain INPUT, rule:" in cause


def test_a_routing_rule_that_leads_elsewhere_is_named(lab: Lab) -> None:
    rule = f"from {address(lab, 'n1-1')} lookup 77"
    change = f"ip route add default via 192.0.2.254 table 77; ip rule add pref 100 {rule}"
    with changed(lab, "n1", change, "ip rule del pref 100; ip route flush table 77"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("n1", "rule")
        assert f"the routing rule '100: from {address(lab, 'n1-1')}" in cause
        assert not reaches(lab)


def test_a_pod_whose_next_hop_has_another_hardware_address_is_found(lab: Lab) -> None:
    neighbour = "ip neigh replace 169.254.1.1 dev eth0 nud permanent lladdr"
    with changed(lab, "n1-1", f"{neighbour} 02:00:00:00:00:01", f"{neighbour} ee:ee:ee:ee:ee:ee"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("default/n1-1", "neighbour")
        assert "the pod takes 02:00:00:00:00:01 for its next hop 169.254.1.1" in cause
        assert not reaches(lab)


def test_a_disabled_pool_is_why_a_pod_has_no_address(lab: Lab) -> None:
    with ExitStack() as undo:
        felixctl(lab, "patch", "ippool", "pods", "-p", '{"spec": {"disabled": true}}')
        undo.callback(felixctl, lab, "patch", "ippool", "pods", "-p", '{"spec": {"disabled": false}}')
        until(lambda: not attached(lab, "late"), "pods get no address any more")
        where, about, cause = why(lab, other="late").broken
        assert (where, about) == ("late", "pool")
        assert "every pool is disabled (pods)" in cause
        until(lambda: why(lab).status == 0, "the pod that was refused has gone from what the nodes show")
        running = why(lab)
        assert "pool pods 10.65.0.0/16 is disabled" in json.dumps(running.answer["steps"])


def attached(lab: Lab, pod: str) -> bool:
    """Attach a pod if that is possible; it does not stay."""
    try:
        lab.ask("pod add", node="n2", pod=pod)
    except Refused:
        return False
    lab.ask("pod del", pod=pod)
    return True


def test_a_leaked_address_is_found(lab: Lab) -> None:
    leaked = lab.ask("pod add", node="n2", pod="gone")["addresses"][0]
    try:
        felixctl(lab, "delete", "workloadendpoint", "n2-k8s-gone-eth0")
        found = why(lab, other=leaked)
        where, about, cause = found.broken
        assert (where, about) == (leaked, "address")
        assert f"address {leaked} is leaked: it is assigned to pod default/gone" in cause
        assert "no node routes to it" in found.answer["verdict"]
    finally:
        lab.ask("pod del", pod="gone")


def test_an_unknown_name_is_the_broken_step_and_a_pod_to_itself_is_refused(lab: Lab) -> None:
    unknown = why(lab, other="unknown")
    assert (unknown.status, *unknown.broken[:2]) == (1, "unknown", "endpoint")
    assert why(lab, other="n1-1").status == 2


def test_a_strict_check_of_the_way_back_is_named(lab: Lab) -> None:
    """What n1-1 sends comes in by eth0, and n2 would answer by another device."""
    network = lab.routes("n2", "proto", "81").split()[0]
    change = (
        "ip link add aside type veth peer name far; ip link set aside up; ip link set far up;"
        " ip addr add 198.51.100.1/24 dev aside; sysctl -qw net.ipv4.conf.eth0.rp_filter=1;"
        f" ip route add {network} via 198.51.100.2 dev aside"
    )
    with changed(lab, "n2", change, "ip link del aside; sysctl -qw net.ipv4.conf.eth0.rp_filter=0"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("n2", "reverse path")
        assert "the way back to" in cause and "leads by aside" in cause
        assert not reaches(lab)


def test_a_route_of_others_by_a_router_that_knows_no_pod_is_in_doubt_and_what_it_wins_over_is_named(lab: Lab) -> None:
    network = lab.routes("n1", "proto", "81").split()[0]
    route = f"{network} via 192.0.2.254 metric 3"
    with changed(lab, "n1", f"ip route add {route}", f"ip route del {route}"):
        assert not reaches(lab)
        found = command(lab, "why", "n1-1", "n2-1")
        assert found.returncode == 0, "who looks from here cannot tell where the router leads"
        wins = f"{network} via 192.0.2.254 dev eth0 proto 3 metric 3, another program's (protocol 3), wins over"
        ours = f"{network} via 192.0.2.2 dev eth0 proto 81 metric 1030 (learned)"
        assert any(f"{wins} {ours}" in line and line.startswith("  ! n1") for line in found.stdout.splitlines())
        verdict = "nothing that can be seen between default/n1-1 and default/n2-1 is broken; in doubt: n1 (route);"
        assert f"! {verdict}" in found.stdout
        assert "-- ip route show match" in found.stdout


def test_a_next_hop_whose_hardware_address_somebody_wrote_is_found_and_its_repair_works(lab: Lab) -> None:
    entry = "ip neigh replace 192.0.2.2 dev eth0 lladdr 02:00:00:00:00:99 nud permanent"
    with changed(lab, "n1", entry, "ip neigh flush to 192.0.2.2 nud permanent"):
        assert not reaches(lab)
        found = why(lab)
        where, about, cause = found.broken
        assert (where, about, found.status) == ("n1", "neighbour", 1)
        assert "the node takes 02:00:00:00:00:99 for next hop 192.0.2.2 on eth0, and eth0 of n2 has" in cause
        lab.run("n1", *found.answer["broken"]["repair"].partition(" -- ")[2].split())
        assert reaches(lab), "the command that repairs it does"
        assert why(lab).status == 0


def test_a_pod_whose_hardware_address_somebody_wrote_on_its_node_is_found(lab: Lab) -> None:
    (device,) = [word for word in lab.routes("n2", address(lab, "n2-1")).split() if word.startswith("cali")]
    entry = f"{address(lab, 'n2-1')} dev {device}"
    change = f"ip neigh replace {entry} lladdr 02:00:00:00:00:99 nud permanent"
    with changed(lab, "n2", change, f"ip neigh del {entry}"):
        where, about, cause = why(lab).broken
        assert (where, about) == ("n2", "neighbour")
        assert f"the node takes 02:00:00:00:00:99 for {address(lab, 'n2-1')} on {device}" in cause
        assert not reaches(lab)


TRANSLATIONS = (
    (
        "nft add table ip t; nft add chain ip t pre '{ type nat hook prerouting priority -100; }';"
        " nft add rule ip t pre ip daddr 10.65.0.0/16 dnat to 192.0.2.250",
        "nft delete table ip t",
        "nft table ip t, chain pre, rule: daddr 10.65.0.0/16 accept (dnat)",
    ),
    (
        "iptables-nft -t nat -A PREROUTING -d 10.65.0.0/16 -j DNAT --to-destination 192.0.2.250",
        "iptables-nft -t nat -F",
        "nft table ip nat, chain PREROUTING, rule: daddr 10.65.0.0/16 accept (",
    ),
    (
        "iptables-legacy -t nat -A PREROUTING -d 10.65.0.0/16 -j DNAT --to-destination 192.0.2.250",
        "iptables-legacy -t nat -F",
        "iptables-legacy table nat, chain PREROUTING, rule: daddr 10.65.0.0/16 accept (DNAT)",
    ),
)


@pytest.mark.parametrize(("change", "undo", "named"), TRANSLATIONS)
def test_a_rule_that_gives_packets_another_destination_is_named_and_its_repair_works(
    lab: Lab, change: str, undo: str, named: str
) -> None:
    with changed(lab, "n2", change, undo):
        found = why(lab)
        where, about, cause = found.broken
        assert (where, about, found.status) == ("n2", "translation", 1)
        assert named in cause
        assert not reaches(lab)
        lab.run("n2", *found.answer["broken"]["repair"].partition(" -- ")[2].split())
        assert reaches(lab), "the command that repairs it does"
        assert why(lab).status == 0
