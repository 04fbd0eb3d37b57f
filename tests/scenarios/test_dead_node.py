"""A node that starts while another configured node is dead gets its routes without waiting for that one."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.cluster import lab_of, three_nodes

DEAD = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "dead", "annotations": {"projectcalico.org/IPv4Address": "192.0.2.99/24"}},
    "spec": {},
}


def test_nodes_that_start_while_a_configured_node_is_dead_reach_one_another(tmp_path: Path) -> None:
    with lab_of({**three_nodes(), "resources": [DEAD]}, tmp_path) as lab:
        states = {peer["address"]: peer["state"] for peer in lab.page("n1", "status")["peers"]}
        assert states.pop("192.0.2.99") != "up"
        assert set(states.values()) == {"up"}
        assert lab.report["pings"] == {"sent": 6, "lost": 0}
