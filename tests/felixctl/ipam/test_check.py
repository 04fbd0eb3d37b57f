"""`felixctl ipam check`, on a datastore."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

import datastore
from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.pods import WorkloadEndpoint
from datastore.store import Create
from felixctl.ipam import store_check
from felixctl.ipam.read_records import read_records
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import DB_HANDLE, garble


def test_a_check_that_finds_problems_ends_with_1(calicos: Felixctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_check, "RECHECK_SECONDS", 0)
    calicos("delete", "wep", "node--3-k8s-db--1-eth0")
    ended = calicos("ipam", "check")
    assert ended.status == 1
    assert ended.out.endswith("Check complete; found 1 problems.\n")
    assert "  10.65.77.7 is assigned to k8s-pod-network." in ended.out
    assert "not in use: the agents release it" in ended.out


def test_a_record_that_cannot_be_read_is_a_problem(damaged: Felixctl, tmp_path: Path) -> None:
    damaged("ipam", "check", "--fix", "--yes")
    garble(tmp_path, "IPAMBlock", "10-65-84-128-26", "$.spec.cidr")
    ended = damaged("ipam", "check")
    assert (ended.status, ended.err) == (1, "")
    assert 'IPAMBlock "10-65-84-128-26": spec.cidr' in ended.out


def test_nothing_is_released_while_an_endpoint_cannot_be_read(damaged: Felixctl, tmp_path: Path) -> None:
    garble(tmp_path, "WorkloadEndpoint", "node--1-k8s-web--1-eth0", "$.spec.ipNetworks")
    ended = damaged("ipam", "check", "--fix", "--yes")
    assert "None of these can be repaired safely now" in ended.out
    ended = damaged("ipam", "release", "--ip", "10.65.84.128")
    assert (ended.status, "it is not known what is in use" in ended.err) == (1, True)
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.84.128").out


def test_a_fix_shows_its_plan_and_asks(damaged: Felixctl) -> None:
    ended = damaged("ipam", "check", "--fix", stdin="n\n")
    assert (ended.status, f"1. release 10.65.77.7 of {DB_HANDLE}" in ended.out) == (1, True)
    assert ended.out.endswith("Nothing was changed.\n")
    ended = damaged("ipam", "check", "--fix", stdin="y\n")
    assert (ended.status, ended.out.splitlines()[-1]) == (0, "0 problems are left.")
    assert damaged("ipam", "show", "--ip", "10.65.77.7").out == "10.65.77.7 is not assigned\n"


def test_with_yes_a_fix_does_not_ask(damaged: Felixctl) -> None:
    assert damaged("ipam", "check", "--fix", "--yes").status == 0
    assert damaged("ipam", "check").status == 0
    assert damaged("ipam", "check", "--yes").status == 2


def test_the_address_of_a_pod_whose_endpoint_cannot_be_read_is_not_said_to_be_unused(
    calicos: Felixctl, tmp_path: Path
) -> None:
    """Its pod may well run: who released the address would give it to another."""
    garble(tmp_path, "WorkloadEndpoint", "node--1-k8s-web--1-eth0", "$.spec.ipNetworks")
    printed = calicos("ipam", "check").out
    assert "10.65.84.128 is assigned" not in printed
    assert "Found 0 IPs that are allocated in IPAM but not actually in use." in printed


async def test_a_check_keeps_little_more_of_a_cluster_than_its_records_hold(tmp_path: Path) -> None:
    """Objects read in full take eight times that."""
    store = datastore.open(f"sqlite://{tmp_path}/cluster.db")
    handles = [
        IPAMHandle.make(f"net.{number:064}", handle_id=f"net.{number:064}", block={"10.65.0.0/20": 1}, deleted=False)
        for number in range(1000)
    ]
    endpoints = [
        WorkloadEndpoint.make(
            f"n1-k8s-pod--{number}-eth0",
            "red",
            labels={"app": "web", "projectcalico.org/namespace": "red", "projectcalico.org/orchestrator": "k8s"},
            node="n1",
            pod=f"pod-{number}",
            container_id=f"{number:064}",
            ip_networks=[f"10.65.{number >> 8}.{number & 255}/32"],
            profiles=["kns.red", "ksa.red.default"],
            interface_name=f"cali{number:011}",
        )
        for number in range(1000)
    ]
    await store.write(*map(Create, (*handles, *endpoints)))
    written = sum(len(one.to_text()) for one in (*handles, *endpoints))
    await read_records(store)  # what is loaded once is loaded now
    tracemalloc.start()
    try:
        records = await read_records(store)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await store.close()
    assert len(records.handles) == len(records.endpoints) == 1000
    assert kept <= most < 2.5 * written
