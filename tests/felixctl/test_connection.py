"""The datastore that a command opens."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from datastore.store import Store
from felixctl.connection import writing
from tests.felixctl.command import Felixctl
from tests.felixctl.resources.examples import PEER


def test_reading_does_not_create_a_datastore(felixctl: Felixctl, tmp_path: Path) -> None:
    ended = felixctl("get", "nodes")
    assert (ended.status, "there is no such file" in ended.err) == (1, True)
    assert not (tmp_path / "cluster.db").exists()


def test_a_file_that_is_no_datastore_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "cluster.db").write_text("this is no database at all, but a letter\n" * 100)
    ended = felixctl("get", "nodes")
    assert (ended.status, "cluster.db" in ended.err, "Traceback" in ended.err) == (1, True, False)
    assert felixctl("get", "nodes", "--datastore", "ftp://x").status == 1


def test_what_was_read_is_never_formatted_as_text(tmp_path: Path) -> None:
    """Python 3.11 does so with the result of a task that ends, which takes a second where it is a large cluster's."""

    class Result:
        def __repr__(self) -> str:
            raise AssertionError("it is formatted")

    async def work(_: Store) -> Result:
        return Result()

    assert isinstance(writing("sqlite:///:memory:", work), Result)


def test_a_record_that_cannot_be_read_is_named_in_a_line_that_commands_no_terminal(
    felixctl: Felixctl, tmp_path: Path
) -> None:
    felixctl("apply", "-f", "-", stdin=PEER)
    with sqlite3.connect(tmp_path / "cluster.db") as connection:
        connection.execute("UPDATE object SET record = json_set(record, '$.spec.peerIP', ?)", ("\x1b[2J\n",))
    arguments = ("get", "bgppeers", "--datastore", f"sqlite://{tmp_path}/cluster.db")
    ended = subprocess.run([sys.executable, "-m", "felixctl", *arguments], capture_output=True, text=True, check=True)
    assert (ended.stderr.count("\n"), "\x1b" in ended.stderr) == (1, False)
    assert 'BGPPeer "tor-1": spec.peerIP' in ended.stderr
