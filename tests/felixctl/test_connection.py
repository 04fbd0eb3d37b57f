"""The datastore that a command opens."""

from __future__ import annotations

from pathlib import Path

from tests.felixctl.command import Felixctl


def test_a_datastore_that_is_not_there_is_not_made_by_looking(felixctl: Felixctl, tmp_path: Path) -> None:
    ended = felixctl("get", "nodes")
    assert (ended.status, "there is no such file" in ended.err) == (1, True)
    assert not (tmp_path / "cluster.db").exists()


def test_a_datastore_that_is_none_is_a_clear_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "cluster.db").write_text("this is no database at all, but somebody's letter\n" * 100)
    ended = felixctl("get", "nodes")
    assert (ended.status, "cluster.db" in ended.err, "Traceback" in ended.err) == (1, True, False)
    assert felixctl("get", "nodes", "--datastore", "ftp://x").status == 1
