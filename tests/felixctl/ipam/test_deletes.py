"""Pools and nodes that are deleted release their blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from felixctl.ipam import store_check
from felixctl.resources import apply
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import garble
from tests.felixctl.node.test_status import STATUS, peer


def test_a_pool_in_use_is_not_deleted(calicos: Felixctl) -> None:
    ended = calicos("delete", "ippool", "default-ipv4-ippool")
    assert (ended.status, "8 addresses of 10.65.0.0/16 are in use" in ended.err) == (1, True)
    assert "false" in calicos("get", "ippool", "-o", "wide").out.split("\n")[1]


def test_a_deleted_pool_leaves_no_affinity(calicos: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "POOL_REST_SECONDS", 0)
    ended = calicos("delete", "ippool", "default-ipv4-ippool", "--force")
    assert ended.out == "Successfully deleted 1 'IPPool' resource(s)\n"
    assert calicos("get", "ippool", "-o", "name").out == ""
    assert calicos("get", "affinities", "-o", "name").out == ""
    assert "host:" not in calicos("get", "blocks").out, "addresses in use stay assigned, in blocks of no node"


def test_a_deleted_node_leaves_only_blocks_in_use_and_names_them(calicos: Felixctl) -> None:
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    calicos("ipam", "release", "--ip", "10.65.77.7")
    ended = calicos("delete", "node", "node-3")
    assert (ended.status, ended.out) == (0, "Successfully deleted 1 'Node' resource(s)\n")
    assert "node-3" not in calicos("get", "affinities").out
    ended = calicos("delete", "node", "node-1")
    [_, left] = ended.out.splitlines()
    assert left.startswith("Left: node node-1 holds 4 endpoints (Workload(default/")
    assert ", 1 block (10.65.84.128/26); felixctl ipam check says what keeps them" in left
    assert "node-1" in calicos("get", "affinities").out


def test_a_node_gives_everything_back_with_release(calicos: Felixctl) -> None:
    ended = calicos("delete", "node", "node-1", "--release")
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert lines[0] == "Successfully deleted 1 'Node' resource(s)"
    assert sum(line.startswith("  delete endpoint default/node--1-k8s-web--") for line in lines) == 4
    assert lines[-1] == "  release block 10.65.84.128/26 of node node-1: done"
    assert all(line.endswith(": done") for line in lines[1:])
    for kind in ("wep", "affinities", "blocks", "handles"):
        assert "node-1" not in calicos("get", kind, "-A").out.replace("node-10", "")
    assert calicos("ipam", "check").status == 0
    assert "node--3-k8s-db--1-eth0" in calicos("get", "wep", "-A", "-o", "name").out, "other nodes keep theirs"


def test_what_a_node_left_is_given_back_later(calicos: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    calicos("delete", "node", "node-1")
    assert calicos("delete", "node", "node-1", "--release").status == 1, "there is no such node"
    assert "release block 10.65.84.128/26" in calicos("delete", "node", "node-1", "--release", "-s").out
    calicos("delete", "node", "node-3")
    monkeypatch.setattr(store_check, "NODE_RETURN_SECONDS", 0)
    ended = calicos("ipam", "check")
    assert (ended.status, "keeps 10.65.77.7 of k8s-pod-network." in ended.out) == (1, True)
    assert "its node node-3 was removed\nFound 1 endpoints of pods that are gone.\n" in ended.out
    assert "10.65.77.0/26: the node was removed without releasing it; 1 addresses in it are assigned" in ended.out
    ended = calicos("ipam", "check", "--fix", "--yes")
    assert (ended.status, ended.out.splitlines()[-1]) == (0, "0 problems are left.")
    assert "node-3" not in calicos("get", "affinities").out


def test_nothing_is_given_back_while_a_record_cannot_be_read(calicos: Felixctl, tmp_path: Path) -> None:
    garble(tmp_path, "WorkloadEndpoint", "node--1-k8s-web--1-eth0", "$.spec.ipNetworks")
    ended = calicos("delete", "node", "node-1", "--release")
    assert "so it is not known what is in use, and only empty blocks are released" in ended.out
    assert "Left: node node-1 holds" in ended.out


def test_a_node_that_is_alive_is_removed_by_force_only(calicos: Felixctl, tmp_path: Path) -> None:
    address = calicos("get", "node", "node-1", "-o", "jsonpath={.spec.bgp.ipv4Address}").out.partition("/")[0]
    peers = [peer(address)]
    with agent(tmp_path, answered({**STATUS, "peers": peers})):
        ended = calicos("delete", "node", "node-1", "--run-dir", str(tmp_path))
    assert (ended.status, ended.out) == (1, "")
    assert f'delete Node "node-1": it is alive, its BGP session with node n1 ({address}) is up' in ended.err
    assert "nothing was deleted" in ended.err
    assert "node-1" in calicos("get", "nodes", "-o", "name").out
    assert calicos("delete", "node", "node-1", "--force", "--run-dir", str(tmp_path)).status == 0


def test_release_is_for_nodes(calicos: Felixctl) -> None:
    assert calicos("delete", "ippool", "default-ipv4-ippool", "--release").status == 2
