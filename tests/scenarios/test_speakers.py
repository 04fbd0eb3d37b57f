"""BIRD, FRR and GoBGP as peers of a node, killed and started again.

n1 ── bird, frr, gobgp     one subnet, each speaker with an AS and a network of its own
"""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.cluster import Lab, lab_of, until

NETWORKS = {"bird": "203.0.113.0/26", "frr": "203.0.113.64/26", "gobgp": "203.0.113.128/26"}
SPEC = {
    "nodes": 1,
    "pods": 0,
    "peers": [
        {"name": name, "speaker": name, "as": 64601 + i, "networks": [network]}
        for i, (name, network) in enumerate(NETWORKS.items())
    ],
    "pools": [{"name": "pods", "cidr": "10.65.0.0/16", "natOutgoing": False}],
}


def test_after_a_speaker_was_killed_its_network_is_learned_again(tmp_path: Path) -> None:
    with lab_of(SPEC, tmp_path) as lab:
        for name in NETWORKS:
            lab.ask("kill", node=name, what=name)
        until(lambda: all(learned_again(lab, name) for name in NETWORKS), "each speaker is back with its network")


def learned_again(lab: Lab, name: str) -> bool:
    """True if the session with a speaker is up, was down, and the network it announces is in the node's kernel."""
    address = f"192.0.2.{2 + list(NETWORKS).index(name)}"
    peers = {peer["address"]: peer for peer in lab.page("n1", "status").get("peers", ())}
    again = address in peers and peers[address]["state"] == "up" and peers[address]["flaps"] > 0
    return again and f"{NETWORKS[name]} via {address}" in lab.routes("n1", "proto", "81")
