"""Pods of a host whose iptables drop what nobody accepts, by real packets: n1 accepts them, n2 is told not to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.scenarios.cluster import Lab, lab_of, three_nodes, until


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    spec = three_nodes()
    spec["nodes"][1]["settings"] = {"FELIX_FORWARDACCEPT": "false"}
    with lab_of(spec, tmp_path_factory.mktemp("accept")) as made:
        until(lambda: reaches(made, "n1-1", "n3-1") and reaches(made, "n2-1", "n3-1"), "pods reach each other")
        yield made


def reaches(lab: Lab, pod: str, other: str) -> bool:
    address = next(one["addresses"][0] for one in lab.report["pods"] if one["name"] == other)
    return " 0% packet loss" in lab.run(pod, "ping", "-c", "1", "-W", "1", address, check=False)


def test_a_policy_that_drops_is_met_and_its_end_too(lab: Lab) -> None:
    for tool in ("iptables-nft", "ip6tables-nft"):
        lab.run("n1", tool, "-P", "FORWARD", "DROP")
    until(lambda: reaches(lab, "n1-1", "n3-1"), "its pods are accepted")
    for change in ("iptables-nft -F FORWARD", "nft flush ruleset; iptables-nft -P FORWARD DROP"):
        lab.run("n1", "sh", "-c", change)
        until(lambda: "felix-py: accept packets to pods" in rules(lab, "n1"), f"they are back after {change}")
        assert reaches(lab, "n1-1", "n3-1")
    lab.run("n1", "iptables-nft", "-P", "FORWARD", "ACCEPT")
    until(lambda: "felix-py" not in rules(lab, "n1"), "nothing is left where nothing drops")


def test_where_it_is_switched_off_the_chain_is_named_and_left_alone(lab: Lab) -> None:
    lab.run("n2", "iptables-nft", "-P", "FORWARD", "DROP")
    try:
        assert not reaches(lab, "n2-1", "n3-1")
        assert "felix-py" not in rules(lab, "n2")
        why = (sys.executable, "-m", "felixctl", "lab", "why", "n2-1", "n3-1", "--lab", lab.running.name)
        printed = subprocess.run(why, capture_output=True, text=True, check=False).stdout
        assert "nft table ip filter, chain FORWARD, policy drop" in printed
    finally:
        lab.run("n2", "iptables-nft", "-P", "FORWARD", "ACCEPT")


def rules(lab: Lab, node: str) -> str:
    return lab.run(node, "iptables-nft", "-S", "FORWARD")
