"""Pods that reach what is outside the cluster under their node's address, by real packets.

pod ── n1, n2 ── rack1 ── tor, a BIRD that has 203.0.113.9 and 2001:db8:113::9, and no way back to pods
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.scenarios.cluster import Lab, lab_of, until

POOLS = [{"name": "pods", "cidr": "10.65.0.0/16"}, {"name": "pods6", "cidr": "fd00:65::/64"}]
SPEC = {
    "subnets": [{"name": "rack1", "ipv4": "192.0.2.0/24", "ipv6": "2001:db8:2::/64"}],
    "nodes": [{"name": "n1", "subnet": "rack1"}, {"name": "n2", "subnet": "rack1"}],
    "pods": 1,
    "peers": [{"name": "tor", "as": 64600, "networks": ["203.0.113.0/24", "2001:db8:113::/64"]}],
    "pools": [{**pool, "natOutgoing": False} for pool in POOLS],
}
OUTSIDE = ("203.0.113.9", "2001:db8:113::9")
ECHO = """
import socket, sys
here = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
here.bind((sys.argv[1], 4000))
while True:
    _, sender = here.recvfrom(100)
    try:
        here.sendto(sender[0].encode(), sender)
    except OSError:
        pass  # there is no way back
"""
ASK = """
import socket, sys
here = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
here.settimeout(0.5)
for _ in range(4):
    here.sendto(b"?", (sys.argv[1], 4000))
    try:
        print(here.recv(100).decode())
        break
    except TimeoutError:
        continue
"""
OTHERS = """
table ip other {
  set known { type ipv4_addr; elements = { 198.51.100.1 }
  }
  chain postrouting {
    type nat hook postrouting priority 90
    ip saddr @known counter masquerade
  }
}
table inet filter {
  chain forward {
    type filter hook forward priority 0; policy accept
    counter
  }
}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_of(SPEC, tmp_path_factory.mktemp("nat")) as made:
        for address in OUTSIDE:
            made.run("tor", "ip", "address", "add", address, "dev", "lo")
            echo(made, "tor", address)
        yield made


def echo(lab: Lab, place: str, address: str) -> None:
    """Have a program there say to whoever sends to it under which address that came."""
    lab.run(place, "sh", "-c", f"setsid python3 -c '{ECHO}' {address} </dev/null >/dev/null 2>&1 &")
    until(lambda: f"{address}]:4000" in listens(lab, place) or f"{address}:4000" in listens(lab, place), "it listens")


def listens(lab: Lab, place: str) -> str:
    return lab.run(place, "ss", "-lunH")


def seen_as(lab: Lab, place: str, address: str) -> str:
    """Return under which address a packet from there arrives; "" if no answer comes back."""
    return lab.run(place, "python3", "-c", ASK, address).strip()


def address_of(lab: Lab, place: str, version: int) -> str:
    shown = lab.run(place, "ip", "-o", f"-{version}", "address", "show", "dev", "eth0", "scope", "global")
    return shown.split()[3].partition("/")[0]


def felixctl(lab: Lab, words: str, *records: object) -> None:
    """Run felixctl on n1 with these records on its standard input."""
    command = f"FELIX_DATASTORE=sqlite:///srv/felix/cluster.db {sys.executable} -m felixctl {words}"
    lab.run("n1", "sh", "-c", f"{command} <<'END'\n{yaml.safe_dump_all(records)}\nEND")


def nat(lab: Lab, *, on: bool) -> None:
    """Have both pools ask for it, or not; return when n1 has done so."""
    if has_nat(lab) == on:
        return
    records = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "IPPool",
            "metadata": {"name": one["name"]},
            "spec": {"cidr": one["cidr"], "natOutgoing": on},
        }
        for one in POOLS
    ]
    felixctl(lab, "apply -f -", *records)
    until(lambda: has_nat(lab) if on else not rules(lab), "n1 has done so")


def has_nat(lab: Lab) -> bool:
    return rules(lab).count("masquerade") == len(POOLS)


def options(lab: Lab, **spec: str | None) -> None:
    felixctl(lab, f"patch felixconfiguration default -p '{json.dumps({'spec': spec})}'")


def rules(lab: Lab, node: str = "n1") -> str:
    """Return our table there, its counters left out; "" if there is none."""
    return lab.run(node, "nft", "--stateless", "list", "table", "inet", "felix", check=False)


def others(lab: Lab) -> str:
    return "".join(lab.run("n1", "nft", "list", "table", *name) for name in (("ip", "other"), ("inet", "filter")))


@pytest.mark.parametrize("version", [4, 6])
def test_a_pod_reaches_the_outside_under_its_nodes_address_only_while_its_pool_says_so(lab: Lab, version: int) -> None:
    outside = OUTSIDE[version == 6]
    nat(lab, on=False)
    assert seen_as(lab, "n1-1", outside) == address_of(lab, "n1-1", version)
    back = "10.65.0.0/16" if version == 4 else "fd00:65::/64"
    lab.run("tor", "ip", f"-{version}", "route", "add", "blackhole", back, "table", "77")
    lab.run("tor", "ip", f"-{version}", "rule", "add", "to", back, "lookup", "77")
    assert seen_as(lab, "n1-1", outside) == "", "there is no way back to pods"
    nat(lab, on=True)
    assert seen_as(lab, "n1-1", outside) == address_of(lab, "n1", version)


def test_from_pod_to_pod_packets_keep_their_address(lab: Lab) -> None:
    nat(lab, on=True)
    for version in (4, 6):
        there = address_of(lab, "n2-1", version)
        echo(lab, "n2-1", there)
        assert seen_as(lab, "n1-1", there) == address_of(lab, "n1-1", version)


def test_what_others_flush_is_put_right_and_their_tables_are_left_as_they_are(lab: Lab) -> None:
    nat(lab, on=True)
    wanted = rules(lab)
    lab.run("n1", "nft", "flush", "ruleset")
    until(lambda: rules(lab) == wanted, "it is there again")
    lab.run("n1", "nft", OTHERS)
    before = others(lab)
    lab.run("n1", "nft", "delete element inet felix pools_v4 { 10.65.0.0/16 }")
    until(lambda: rules(lab) == wanted, "the set is whole again")
    lab.run("n1", "nft", "flush chain inet felix postrouting")
    until(lambda: rules(lab) == wanted, "the rules are there again")
    nat(lab, on=False)
    assert others(lab) == before


def test_the_rules_stay_while_the_agent_is_away_and_the_next_one_writes_none_anew(lab: Lab) -> None:
    nat(lab, on=True)
    shown = lab.run("n1", "nft", "--handle", "list", "table", "inet", "felix")
    lab.ask("kill", node="n1", what="agent")
    assert seen_as(lab, "n1-1", OUTSIDE[0]) == address_of(lab, "n1", 4)
    until(lambda: lab.page("n1", "status").get("ready"), "the next agent is ready")
    assert handles(lab.run("n1", "nft", "--handle", "list", "table", "inet", "felix")) == handles(shown)


def handles(shown: str) -> list[str]:
    return [line.rpartition("# handle")[2] for line in shown.splitlines() if "# handle" in line]


def test_an_address_set_for_the_cluster_is_the_one_that_packets_leave_with(lab: Lab) -> None:
    nat(lab, on=True)
    lab.run("n1", "ip", "address", "add", "192.0.2.77/24", "dev", "eth0")
    options(lab, natOutgoingAddress="192.0.2.77", natPortRange="30000:30009")
    until(lambda: "snat ip to 192.0.2.77:30000-30009" in rules(lab), "the table says so")
    assert seen_as(lab, "n1-1", OUTSIDE[0]) == "192.0.2.77"
    assert seen_as(lab, "n1-1", OUTSIDE[1]) == address_of(lab, "n1", 6), "it is of the other family"
    options(lab, natOutgoingAddress=None, natPortRange=None)
    until(lambda: "snat" not in rules(lab), "the table says so")
