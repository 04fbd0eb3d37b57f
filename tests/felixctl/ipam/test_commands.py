"""`felixctl ipam` on a datastore: the same records through the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

import datastore
from datastore.record import Resource
from datastore.resources import read
from felixctl.ipam import check
from felixctl.resources import apply
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed, records


def store_all(path: Path, resources: Iterable[Resource]) -> None:
    async def work() -> None:
        store = datastore.open(f"sqlite://{path}/cluster.db")
        for resource in resources:
            await store.create(resource)
        await store.close()

    asyncio.run(work())


@pytest.fixture
def calicos(felixctl: Felixctl, tmp_path: Path) -> Felixctl:
    paths = (
        "crs/ippools.yaml",
        "crs/ipamblocks.yaml",
        "crs/ipamhandles.yaml",
        "crs/nodes.yaml",
        "crs/blockaffinities.yaml",
    )
    store_all(tmp_path, (read(record) for path in paths for record in records(path)))
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-workloadendpoints.yaml"))
    return felixctl


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["show"], "ipam/show.txt"),
        (["show", "--show-blocks"], "ipam/show-blocks.txt"),
        (["show", "--ip", "10.65.84.128"], "ipam/show-ip.txt"),
        (["show", "--ip", "10.65.200.200"], "ipam/show-ip-free.txt"),
        (["show", "--show-borrowed"], "ipam/show-borrowed.txt"),
        (["check"], "ipam/check.txt"),
        (["check", "--show-all-ips"], "ipam/check-all-ips.txt"),
    ],
)
def test_the_commands_print_as_calicoctls(calicos: Felixctl, arguments: list[str], path: str) -> None:
    ended = calicos("ipam", *arguments)
    assert (ended.status, ended.out, ended.err) == (0, printed(path), "")


def test_a_check_that_finds_problems_ends_with_1(calicos: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "RECHECK_SECONDS", 0)
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    ended = calicos("ipam", "check")
    assert ended.status == 1
    assert ended.out.endswith("Check complete; found 1 problems.\n")
    assert "  10.65.77.7 is assigned to k8s-pod-network." in ended.out
    assert "not in use: the agents release it" in ended.out


@pytest.mark.parametrize("arguments", [["--ip", "10.0.0.300"], ["--ip", "10.0.0.3", "--show-borrowed"]])
def test_a_question_without_sense_ends_with_2(calicos: Felixctl, arguments: list[str]) -> None:
    ended = calicos("ipam", "show", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("felixctl: ipam show")


def test_a_pool_in_use_is_not_deleted(calicos: Felixctl) -> None:
    ended = calicos("delete", "ippool", "default-ipv4-ippool")
    assert (ended.status, "8 addresses of 10.65.0.0/16 are in use" in ended.err) == (1, True)
    assert "false" in calicos("get", "ippool", "-o", "wide").out.split("\n")[1]


def test_a_deleted_pool_leaves_no_claim_behind(calicos: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "POOL_REST_SECONDS", 0)
    ended = calicos("delete", "ippool", "default-ipv4-ippool", "--force")
    assert ended.out == "Successfully deleted 1 'IPPool' resource(s)\n"
    assert calicos("get", "ippool", "-o", "name").out == ""
    assert calicos("get", "affinities", "-o", "name").out == ""
    assert "host:" not in calicos("get", "blocks").out, "addresses in use stay assigned, in blocks of nobody's"


def test_an_address_in_use_is_not_released(calicos: Felixctl) -> None:
    ended = calicos("ipam", "release", "--ip", "10.65.77.7", "--ip", "10.65.77.8")
    assert (ended.status, ended.out) == (1, "")
    assert "Workload(default/node--3-k8s-db--1-eth0) uses it" in ended.err
    assert "in use" in calicos("ipam", "show", "--ip", "10.65.77.7").out


def test_a_leaked_address_is_released(calicos: Felixctl) -> None:
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    ended = calicos("ipam", "release", "--ip", "10.65.77.7", "--ip", "10.65.77.8")
    assert ended.out == "Successfully released IP address 10.65.77.7\n10.65.77.8 is not assigned\n"
    assert calicos("ipam", "check").status == 0


def test_configuration_is_made_changed_and_checked(felixctl: Felixctl) -> None:
    assert felixctl("ipam", "configure").status == 2
    assert felixctl("ipam", "configure", "--strictaffinity", "maybe").status == 2
    ended = felixctl("ipam", "configure", "--strictaffinity=true", "--max-blocks-per-host", "4")
    assert ended.out == "Successfully set strictAffinity to: true\nSuccessfully set maxBlocksPerHost to: 4\n"
    shown = felixctl("ipam", "show", "--show-configuration").out
    assert "| StrictAffinity " in shown
    ended = felixctl("ipam", "configure", "--kubevirt-ip-persistence", "Disabled")
    assert ended.out == "Successfully set kubeVirtVMAddressPersistence to: Disabled\n"
    shown = felixctl("--allow-version-mismatch", "ipam", "show", "--show-configuration").out
    assert "| KubeVirtVMAddressPersistence | Disabled |" in shown
    ended = felixctl("ipam", "configure", "--strictaffinity=false")
    assert (ended.status, "maxBlocksPerHost 4 needs strictAffinity true" in ended.err) == (1, True)
    assert felixctl("ipam", "show", "--show-configuration").out == shown


def test_a_deleted_node_leaves_only_blocks_in_use_and_says_which(calicos: Felixctl) -> None:
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    calicos("ipam", "release", "--ip", "10.65.77.7")
    ended = calicos("delete", "node", "node-3")
    assert (ended.status, ended.out) == (0, "Successfully deleted 1 'Node' resource(s)\n")
    assert "node-3" not in calicos("get", "affinities").out
    ended = calicos("delete", "node", "node-1")
    [_, left] = ended.out.splitlines()
    assert left.startswith("Left: release block 10.65.84.128/26 of node node-1: addresses in it are in use")
    assert "node-1" in calicos("get", "affinities").out
