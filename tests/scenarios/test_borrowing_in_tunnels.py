"""A pod with an address of another node's block, in a pool that wants tunnels: every node has the right route to it.

The tunnel's device is a stand-in here that takes routes as tunl0 does; tests/vm sends packets through a real one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from lab.paths import DATASTORE
from tests.scenarios.cluster import Lab, lab_of, until

NODES = {"n1": "rack1", "n2": "rack1", "n3": "rack2"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    spec = {
        "subnets": [{"name": "rack1", "ipv4": "192.0.2.0/24"}, {"name": "rack2", "ipv4": "198.51.100.0/24"}],
        "nodes": [{"name": name, "subnet": rack} for name, rack in NODES.items()],
        "pods": 0,  # before there are tunnels none would reach another, and the lab would wait for it
        "pools": [{"name": "pods", "cidr": "10.65.0.0/16", "natOutgoing": False}],
    }
    with lab_of(spec, tmp_path_factory.mktemp("lab")) as lab:
        for node in lab.nodes:
            lab.run(node, "sh", "-c", "ip link show tunl0 || ip link add tunl0 type bridge")
        change_pool(lab, ipipMode="CrossSubnet")
        for node in lab.nodes:
            lab.ask("pod add", node=node, pod=f"{node}-1")
        until(lambda: all(lab.page(node, "status")["tunnels"]["ipip"]["up"] for node in lab.nodes), "tunnels are up")
        yield lab


def change_pool(lab: Lab, **spec: Any) -> None:
    felixctl = (sys.executable, "-m", "felixctl", "patch", "ippool", "pods", "--datastore", DATASTORE)
    lab.run("n1", *felixctl, "--patch", json.dumps({"spec": spec}))


def block_of(lab: Lab, node: str) -> str:
    return str(lab.page(node, "status")["blocks"][0])


def way(lab: Lab, node: str, address: str) -> str:
    """Return device and protocol of a node's route to this one address."""
    found = json.loads(lab.run(node, "ip", "-j", "route", "show", address))
    return " ".join(f"{route['dev']} {route['protocol']}" for route in found)


def guard(lab: Lab, node: str) -> tuple[set[str], bool]:
    """Return the nodes that a node's kernel knows, and whether it drops packets of the tunnel from others."""
    shown = lab.run(node, "nft", "--json", "list", "table", "inet", "felix", check=False) or '{"nftables": []}'
    entries = json.loads(shown)["nftables"]
    known = {address for entry in entries for address in entry.get("set", {}).get("elem", ())}
    comments = [entry["rule"].get("comment") for entry in entries if "rule" in entry]
    return known, "tunnel packets of others than nodes" in comments


def test_every_kernel_takes_packets_of_the_tunnel_from_nodes_alone(lab: Lab) -> None:
    nodes = {address for node in lab.report["nodes"] for address in node["addresses"]}
    until(lambda: all(guard(lab, node) == (nodes, True) for node in lab.nodes), "every node drops what others send")


@pytest.mark.parametrize(("exported", "protocol"), [(True, "81"), (False, "80")])
def test_a_borrowed_address_takes_the_tunnel_where_its_borrower_is_in_another_subnet(
    lab: Lab, exported: bool, protocol: str
) -> None:
    """By BGP; from blocks where the pool is not exported, so that nobody announces it."""
    if not exported:
        change_pool(lab, disableBGPExport=True)
    number = -1 if exported else -2
    far, near = (str(list(ip_network(block_of(lab, owner)).hosts())[number]) for owner in ("n1", "n3"))
    lab.ask("pod add", node="n3", pod="far", address=far)
    lab.ask("pod add", node="n2", pod="near", address=near)
    until(lambda: way(lab, "n1", far) == f"tunl0 {protocol}", "the owner of the block sends into the tunnel")
    until(lambda: way(lab, "n2", far) == f"tunl0 {protocol}", "so does the third node")
    until(lambda: way(lab, "n3", near) == f"tunl0 {protocol}", "and the borrower, to the other's borrowed address")
    until(
        lambda: way(lab, "n1", near) == ("eth0 81" if exported else ""), "in its own subnet a node sends as it learned"
    )

    def changes() -> list[str]:
        log = lab.run("n1", "cat", "/var/log/agent.log").splitlines()
        return [line for line in log if f" {far}" in line and "ip route" in line]

    before = changes()
    lab.ask("kill", node="n1", what="agent")
    until(lab.settled, "the agent is back")
    assert way(lab, "n1", far) == f"tunl0 {protocol}"
    assert changes() == before
    for pod in ("far", "near"):
        lab.ask("pod del", pod=pod)
    until(lambda: not way(lab, "n1", far) + way(lab, "n3", near), "what is given back has no route")
