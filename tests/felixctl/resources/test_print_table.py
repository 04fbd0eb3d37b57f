"""Tables of plain records: what the store would have had printed, and by the store where one is not plainly valid."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datastore.kinds.pods import WorkloadEndpoint
from datastore.resources import read
from datastore.summaries import ENDPOINTS
from felixctl.resources import kinds, print_table, view
from felixctl.resources.kinds import NOUNS, Noun
from tests.datastore.odd_records import REAL
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed
from tests.felixctl.ipam.cluster import store_all


@pytest.fixture
def calicos_records(felixctl: Felixctl, tmp_path: Path) -> Felixctl:
    """Of each object that a real Calico wrote, one record."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in REAL:
        found[record["kind"], record["metadata"].get("namespace"), record["metadata"]["name"]] = record
    store_all(tmp_path, map(read, found.values()))
    return felixctl


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.kind)
def test_each_kinds_table_is_the_same_from_the_store(
    calicos_records: Felixctl, noun: Noun, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [("get", noun.plural, *options) for options in ((), ("-A",), ("-o", "wide"), ("-o", "wide", "-A"))]
    quickly = [calicos_records(*line) for line in lines]
    monkeypatch.setattr(print_table, "existing_file", lambda url: None)
    assert quickly == [calicos_records(*line) for line in lines]
    assert all(ended.status == 0 and ended.out for ended in quickly)


@pytest.mark.parametrize("options", [(), ("-A",), ("-n", "default")])
def test_many_endpoints_are_shown_as_few_are(
    calicos_records: Felixctl, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = calicos_records("get", "wep", *options)
    monkeypatch.setattr(print_table, "MANY_ENDPOINTS", 1)
    monkeypatch.setattr(view, "shown", None)  # no record is taken apart
    assert calicos_records("get", "wep", *options) == few
    assert len(few.out.splitlines()) > 3


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_printed(
    felixctl: Felixctl, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    whole = felixctl("get", "nodes").out
    with closing(sqlite3.connect(tmp_path / "cluster.db")) as connection, connection:
        connection.execute("UPDATE object SET record = '{}' WHERE name = 'node-2'")
    ended = felixctl("get", "nodes")
    assert ended.out.split() == [word for word in whole.split() if word != "node-2"]
    assert 'Node "node-2": metadata is required; it is ignored until it is written again' in caplog.text


def test_nodes_show_the_clusters_as_where_there_is_a_configuration(felixctl: Felixctl) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/get-node.yaml"))
    assert "(64512)" in felixctl("get", "nodes", "-o", "wide").out
    felixctl("apply", "-f", "-", stdin=printed("cli/get-bgpconfig.yaml").replace("64512", "64999"))
    assert "(64999)" in felixctl("get", "nodes", "-o", "wide").out


def test_a_file_that_is_not_there_is_named(felixctl: Felixctl, tmp_path: Path) -> None:
    ended = felixctl("get", "nodes")
    assert (ended.status, f"open the datastore {tmp_path}/cluster.db: there is no such file" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [("DATASTORE_TYPE", "etcdv3", "no store in etcd"), ("FELIX_DATASTORE", "foo://x", 'open datastore "foo://x"')],
)
def test_a_store_that_there_is_not_is_named_for_pods_as_for_other_kinds(
    felixctl: Felixctl, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.delenv("FELIX_DATASTORE", raising=False)
    monkeypatch.setenv(variable, value)
    of_nodes, of_pods = felixctl("get", "nodes"), felixctl("get", "wep", "-A")
    assert (of_pods.status, of_pods.err) == (of_nodes.status, of_nodes.err)
    assert of_pods.status == 1 and reason in of_pods.err


def test_a_summary_of_a_pods_endpoint_has_all_that_the_short_table_shows() -> None:
    endpoints = [read(record) for record in REAL if record["kind"] == "WorkloadEndpoint"]
    noun = kinds.noun("wep")
    for endpoint in endpoints:
        assert isinstance(endpoint, WorkloadEndpoint)
        summary, whole = print_table.shown_summary(ENDPOINTS.of(endpoint)), view.of(endpoint)
        columns = kinds.columns(noun, wide=False, namespaces=True)
        assert kinds.row(columns, summary, 64512) == kinds.row(columns, whole, 64512)
        assert kinds.order(noun, summary) == kinds.order(noun, whole)
    assert endpoints
