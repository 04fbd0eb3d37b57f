"""A record that cannot be read is no end: it is deleted by its name, and written anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.felixctl.command import Felixctl
from tests.felixctl.resources.examples import pool, pools


def spoil(folder: Path, name: str, text: str) -> None:
    with closing(sqlite3.connect(folder / "cluster.db")) as connection, connection:
        connection.execute("UPDATE object SET record = ? WHERE name = ?", (text, name))


@pytest.mark.parametrize("text", ['{"metadata": {"name": "bad"}, "spec": {}}', "{", "[" * 100_000])
def test_a_record_that_cannot_be_read_is_deleted_and_written_anew(
    felixctl: Felixctl, tmp_path: Path, text: str
) -> None:
    felixctl("apply", "-f", "-", stdin=pool("bad", "10.1.0.0/16") + "---" + pool("good", "10.2.0.0/16"))
    spoil(tmp_path, "bad", text)
    ended = felixctl("apply", "-f", "-", stdin=pool("bad", "10.1.0.0/16"))
    assert (ended.status, "delete it (felixctl delete ippool bad), and it can be written anew" in ended.err) == (
        1,
        True,
    )
    assert felixctl("patch", "ippool", "bad", "-p", '{"spec": {"disabled": true}}').status == 1
    assert felixctl("delete", "ippool", "bad", "none").status == 1, "if one does not exist, none is deleted"
    assert felixctl("apply", "-f", "-", stdin=pool("bad", "10.1.0.0/16")).status == 1
    assert felixctl("delete", "ippool", "bad", "good").out == "Successfully deleted 2 'IPPool' resource(s)\n"
    assert felixctl("apply", "-f", "-", stdin=pool("bad", "10.1.0.0/16")).status == 0
    assert pools(felixctl) == ["ippool/bad"]
