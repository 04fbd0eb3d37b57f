"""`felixctl ipam check` by a store: what it asks, and of whom."""

from __future__ import annotations

from pathlib import Path

import pytest

import datastore
from datastore.store import Store
from felixctl.ipam.check import checks_out
from tests.datastore.memory_store import MemoryStore
from tests.felixctl.ipam.cluster import ENDPOINTS, calico_records


def test_one_connection_tells_of_addresses_and_of_the_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an API server each connection begins with credentials and TLS, which take as long as thousands of records."""
    opened: list[MemoryStore] = []

    def open_store(url: str) -> Store:
        opened.append(MemoryStore(*calico_records(), *ENDPOINTS))
        return opened[-1]

    monkeypatch.setattr(datastore, "open", open_store)
    assert checks_out("kubernetes://", tmp_path)
    printed = capsys.readouterr()
    assert "Check complete; found 0 problems." in printed.out
    assert "No controller acts: there is no Lease kube-system/felix-py-controller" in printed.err
    [store] = opened
    assert store.calls.pop("summarize") == 3
    assert set(store.calls.values()) == {1} and store.calls["get Lease"] == 1
