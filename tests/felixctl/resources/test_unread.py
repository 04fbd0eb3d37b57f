"""A record that cannot be read is no end: it is deleted by its name, and written anew."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import datastore
from datastore.kinds.ipam import IPAMHandle
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
    told = felixctl("delete", "ippool", "bad", "good", "--dry-run").out
    assert told == 'would delete IPPool "good"\nwould delete IPPool "bad", which cannot be read\n'
    assert felixctl("delete", "ippool", "bad", "good").out == "Successfully deleted 2 'IPPool' resource(s)\n"
    assert felixctl("apply", "-f", "-", stdin=pool("bad", "10.1.0.0/16")).status == 0
    assert pools(felixctl) == ["ippool/bad"]


async def add_handle(folder: Path, name: str) -> None:
    store = datastore.open(f"sqlite://{folder}/cluster.db")
    await store.create(IPAMHandle.make(name, handleID=name, block={}))
    await store.close()


def test_a_record_that_only_ipam_writes_is_not_deleted_and_the_cure_is_another(
    felixctl: Felixctl, tmp_path: Path
) -> None:
    asyncio.run(add_handle(tmp_path, "h1"))
    spoil(tmp_path, "h1", "{")
    ended = felixctl("delete", "ipamhandle", "h1")
    assert ended.status == 1
    assert "it is written by IPAM only" in ended.err and "put a backup of the datastore back" in ended.err
    assert "felixctl delete ipamhandle" not in ended.err, "that is what was tried"
