"""Pools and nodes that are deleted release their blocks."""

from __future__ import annotations

import pytest

from felixctl.resources import apply
from tests.felixctl.command import Felixctl


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
    assert left.startswith("Left: release block 10.65.84.128/26 of node node-1: addresses in it are in use")
    assert "node-1" in calicos("get", "affinities").out
