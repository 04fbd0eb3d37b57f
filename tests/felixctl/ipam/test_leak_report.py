"""The report of leaks that `ipam check -o` writes and `ipam release --from-report` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datastore.kinds.cluster import ClusterInformation
from felixctl.ipam import leak_report
from tests.felixctl.command import Felixctl
from tests.felixctl.ipam.cluster import CLUSTER, DB, DB_HANDLE, ENDPOINTS


def report(felixctl: Felixctl, path: Path) -> dict[str, object]:
    felixctl("ipam", "check", "-o", str(path))
    read: dict[str, object] = json.loads(path.read_text())
    return read


def test_a_report_has_calicoctls_fields(damaged: Felixctl, tmp_path: Path) -> None:
    written = report(damaged, tmp_path / "a.json")
    assert list(written) == [
        "version",
        "clusterGUID",
        "datastoreLocked",
        "clusterInformationRevision",
        "clusterType",
        "allocations",
        "leakedHandles",
    ]
    assert (written["clusterGUID"], written["datastoreLocked"]) == ("00112233445566778899aabbccddeeff", False)
    allocations = written["allocations"]
    assert isinstance(allocations, dict)
    [entry] = allocations["10.65.77.7"]
    assert (entry["inUse"], entry["owners"], entry["handle"], entry["node"]) == (False, [], DB_HANDLE, "node-3")
    [entry] = allocations["10.65.84.128"]
    assert (entry["inUse"], entry["owners"]) == (True, ["Workload(default/node--1-k8s-web--1-eth0)"])


def test_a_report_on_a_datastore_without_cluster_information_is_made_under_no_lock() -> None:
    assert leak_report.written(CLUSTER, None, "v1")["datastoreLocked"] is False
    for ready in (True, False):
        cluster = ClusterInformation.make("default", datastoreReady=ready)
        assert leak_report.written(CLUSTER, cluster, "v1")["datastoreLocked"] is not ready


def test_a_release_by_report_needs_a_lock_and_the_same_cluster(damaged: Felixctl, tmp_path: Path) -> None:
    unlocked, locked, foreign = (tmp_path / name for name in ("unlocked.json", "locked.json", "foreign.json"))
    report(damaged, unlocked)
    ended = damaged("ipam", "release", "--from-report", str(unlocked))
    assert (ended.status, "the datastore is not locked" in ended.err, "nothing was released" in ended.err) == (
        1,
        True,
        True,
    )
    assert damaged("datastore", "lock").out == "Datastore locked.\n"
    ended = damaged("ipam", "release", "--from-report", str(unlocked))
    assert "was written before the datastore was locked" in ended.err
    read = report(damaged, locked)
    foreign.write_text(json.dumps(read | {"clusterGUID": "another"}))
    for force in ([], ["--force"]):
        ended = damaged("ipam", "release", "--from-report", str(foreign), *force)
        assert (ended.status, "is about cluster another" in ended.err) == (1, True)
    foreign.write_text(json.dumps(read | {"version": "v0.0.0"}))
    assert "is from version v0.0.0" in damaged("ipam", "release", "--from-report", str(foreign)).err
    ended = damaged("ipam", "release", "--from-report", str(locked))
    assert (ended.status, ended.out) == (0, "  release 10.65.77.7: done\n")
    assert damaged("datastore", "unlock").out == "Datastore unlocked.\n"
    assert damaged("ipam", "check").status == 0


def test_only_what_all_reports_call_leaked_is_released(damaged: Felixctl, tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    damaged("datastore", "lock")
    report(damaged, one)
    damaged("delete", "wep", "node--1-k8s-web--1-eth0")
    report(damaged, other)
    ended = damaged("ipam", "release", "--from-report", str(one), "--from-report", str(other))
    assert ended.out == "  release 10.65.77.7: done\n"
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.84.128").out


def test_an_address_in_use_again_is_not_released_by_an_old_report(damaged: Felixctl, tmp_path: Path) -> None:
    report(damaged, tmp_path / "a.json")
    [db] = [endpoint for endpoint in ENDPOINTS if endpoint.name == DB]
    damaged("apply", "-f", "-", stdin=db.with_metadata(resource_version=None).to_text())
    ended = damaged("ipam", "release", "--force", "--from-report", str(tmp_path / "a.json"))
    assert "10.65.77.7: Workload(default/node--3-k8s-db--1-eth0) uses it now: left alone" in ended.out
    assert "in use" in damaged("ipam", "show", "--ip", "10.65.77.7").out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 3}', "null", "[" * 100_000])
def test_what_is_no_report_is_refused(damaged: Felixctl, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    ended = damaged("ipam", "release", "--from-report", str(tmp_path / "a.json"))
    assert (ended.status, "it is no report" in ended.err) == (1, True)
