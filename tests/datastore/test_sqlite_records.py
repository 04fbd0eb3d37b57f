"""Plain records from a file: all of them, or none where the store is to be asked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.ipam import IPAMHandle
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.plain_records import Json
from datastore.sqlite_records import PlainRecords, kept_of_all, read_plainly
from tests.felixctl.ipam.cluster import store_all


def name(record: Json) -> str:
    return str(record["metadata"]["name"])


def endpoint(pod: str, namespace: str) -> WorkloadEndpoint:
    return WorkloadEndpoint.make(f"n1-k8s-{pod}-eth0", namespace, node="n1", pod=pod)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    flagged = IPAMHandle.make("gone", handle_id="gone", block={}, deleted=True)
    there = IPAMHandle.make("there", handle_id="there", block={})
    store_all(tmp_path, (Node.make("n1"), endpoint("a", "red"), endpoint("b", "blue"), there, flagged))
    return tmp_path / "cluster.db"


def test_each_record_of_a_kind_is_kept_of_one_namespace_or_of_all(path: Path) -> None:
    assert kept_of_all(path, "Node", None, name) == ["n1"]
    assert sorted(kept_of_all(path, "WorkloadEndpoint", None, name) or ()) == ["n1-k8s-a-eth0", "n1-k8s-b-eth0"]
    assert kept_of_all(path, "WorkloadEndpoint", "red", name) == ["n1-k8s-a-eth0"]
    assert kept_of_all(path, "Tier", None, name) == []


def test_the_records_of_several_kinds_are_read_at_once_and_of_no_other(path: Path) -> None:
    def work(records: PlainRecords) -> dict[str, list[Any]]:
        return records.by_kind({"Node": len, "IPAMHandle": lambda text: "gone" in text, "Tier": str.upper})

    found = read_plainly(path, work)
    assert found and found.keys() == {"Node", "IPAMHandle", "Tier"}
    assert (len(found["Node"]), found["IPAMHandle"], found["Tier"]) == (1, [False], [])
    assert read_plainly(path, lambda records: records.by_kind({"Node": lambda text: None})) is None


def test_what_is_flagged_as_deleted_is_absent(path: Path) -> None:
    assert kept_of_all(path, "IPAMHandle", None, name) == ["there"]


def test_what_is_written_meanwhile_is_not_seen(path: Path) -> None:
    def work(records: PlainRecords) -> list[list[str]]:
        before = records.kept("Node", name)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM object")
        return [before, records.kept("Node", name), records.all("Node", str.upper)]

    found = read_plainly(path, work)
    assert found and found[:2] == [["n1"], ["n1"]] and '"NAME":"N1"' in found[2][0]
    assert read_plainly(path, lambda records: records.count("Node")) == 0


def test_the_store_is_to_be_asked_where_one_record_is_odd(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE object SET record = '{}' WHERE namespace = 'blue'")
    assert kept_of_all(path, "WorkloadEndpoint", None, name) is None
    assert kept_of_all(path, "WorkloadEndpoint", "red", name) == ["n1-k8s-a-eth0"]


def test_the_store_is_to_be_asked_where_the_file_is_locked_missing_or_no_datastore(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert kept_of_all(path, "Node", None, name) is None
    assert kept_of_all(path, "Node", None, name) == ["n1"]
    assert kept_of_all(path.with_name("missing.db"), "Node", None, name) is None
    assert not path.with_name("missing.db").exists()
    path.with_name("text").write_text("no database at all\n" * 100)
    assert kept_of_all(path.with_name("text"), "Node", None, name) is None
