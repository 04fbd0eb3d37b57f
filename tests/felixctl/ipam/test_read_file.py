"""The records of a first look at a file: those that the store reads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import datastore
from datastore import sqlite_records
from datastore.sqlite_file import connect
from felixctl.ipam import first_look, store_check
from felixctl.ipam.check_report import report
from felixctl.ipam.problems import problems
from felixctl.ipam.read_file import read_file
from felixctl.ipam.read_records import read_records
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import garble


async def test_of_calicos_records_both_make_the_same(calicos: Felixctl, tmp_path: Path) -> None:
    found = read_file(tmp_path / "cluster.db")
    store = datastore.open(f"sqlite://{tmp_path}/cluster.db")
    by_store = await read_records(store)
    await store.close()
    assert found
    for name in ("blocks", "pools", "nodes", "endpoints", "handles", "affinities"):
        assert sorted(one.name for one in getattr(found, name)) == [one.name for one in getattr(by_store, name)]
    assert [*found.blocks] == [*by_store.blocks]
    assert sorted(found.handles, key=lambda one: one.name) == [*by_store.handles]
    assert sorted(found.endpoints, key=lambda one: (one.namespace, one.name)) == [*by_store.endpoints]
    assert (found.tunnels, found.assigned, found.leaks) == (by_store.tunnels, by_store.assigned, by_store.leaks)
    for everything in (False, True):
        texts = [report(one, problems(one), all_addresses=everything) for one in (found, by_store)]
        assert texts[0] == texts[1]


def test_the_file_is_gone_through_once(calicos: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def traced(path: str) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite_records, "connect", traced)
    assert read_file(tmp_path / "cluster.db")
    assert [statement for statement in asked if "FROM object" in statement] == [
        "SELECT kind, record FROM object WHERE NOT deleted"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("IPPool", "default-ipv4-ippool", "$.spec.cidr"),
        ("Node", "node-1", "$.metadata"),
        ("IPAMBlock", "10-65-84-128-26", "$.spec.cidr"),
        ("BlockAffinity", "node-1-10-65-84-128-26", "$.spec.node"),
        ("WorkloadEndpoint", "node--1-k8s-web--1-eth0", "$.spec.ipNetworks"),
    ],
)
def test_where_one_is_odd_the_store_is_asked(
    calicos: Felixctl, tmp_path: Path, kind: str, name: str, field: str
) -> None:
    path = tmp_path / "cluster.db"
    assert read_file(path)
    garble(tmp_path, kind, name, field)
    assert read_file(path) is None


def test_a_sound_file_is_looked_at_once_and_the_store_would_say_the_same(
    calicos: Felixctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [("ipam", "check", *options) for options in ((), ("--show-all-ips",), ("--fix", "--yes"))]
    with monkeypatch.context() as patch:
        patch.setattr(first_look, "read_file", lambda path: None)
        by_store = [calicos(*line) for line in lines]
    monkeypatch.setattr(store_check, "store_checks_out", None)
    assert [calicos(*line) for line in lines] == by_store
    assert all(ended.status == 0 and ended.out for ended in by_store)
