"""The command line with a datastore in a file, empty or with records that a real Calico wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastore.resources import read
from felixctl.ipam import store_check
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed, records
from tests.felixctl.ipam.cluster import DB, calico_records, store_all


@pytest.fixture
def felixctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Felixctl:
    return Felixctl(f"sqlite://{tmp_path}/cluster.db", monkeypatch, capsys)


@pytest.fixture
def calicos(felixctl: Felixctl, tmp_path: Path) -> Felixctl:
    """A cluster whose records and endpoints are Calico's, with nothing wrong."""
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


@pytest.fixture
def damaged(felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Felixctl:
    """A cluster in which pod db-1 went without its release."""
    monkeypatch.setattr(store_check, "RECHECK_SECONDS", 0)
    store_all(tmp_path, calico_records())
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-workloadendpoints.yaml"))
    felixctl("delete", "wep", DB)
    return felixctl
