"""The datastore that a command opens."""

from __future__ import annotations

from pathlib import Path

from tests.felixctl.command import Felixctl


def test_reading_does_not_create_a_datastore(felixctl: Felixctl, tmp_path: Path) -> None:
    ended = felixctl("get", "nodes")
    assert (ended.status, "there is no such file" in ended.err) == (1, True)
    assert not (tmp_path / "cluster.db").exists()


def test_a_file_that_is_no_datastore_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "cluster.db").write_text("this is no database at all, but a letter\n" * 100)
    ended = felixctl("get", "nodes")
    assert (ended.status, "cluster.db" in ended.err, "Traceback" in ended.err) == (1, True, False)
    assert felixctl("get", "nodes", "--datastore", "ftp://x").status == 1
