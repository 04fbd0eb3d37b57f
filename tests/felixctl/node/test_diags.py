"""`node diags`: one archive without secrets, and a list of what could not be read."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from datastore.errors import Forbidden
from datastore.kinds.bgp import BGPPeer
from datastore.record import Resource
from datastore.sqlite import SqliteStore
from datastore.store import Listed
from felixctl.node import diags
from tests.felixctl.agent import agent, answered
from tests.felixctl.command import Felixctl
from tests.felixctl.golden import printed
from tests.felixctl.ipam.cluster import garble
from tests.felixctl.node.test_status import STATUS
from tests.felixctl.resources.examples import PEER, pool


def files(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {
            member.name.partition("/")[2]: (tar.extractfile(member) or io.BytesIO()).read().decode() for member in tar
        }


def test_an_archive_holds_status_kernel_logs_and_records(felixctl: Felixctl, tmp_path: Path) -> None:
    felixctl("apply", "-f", "-", stdin=printed("cli/after-add-nodes.yaml"))
    log = tmp_path / "mine.log"
    log.write_text('level=INFO msg="started"\nmd5-password "hunter2";\nurl=https://me:hunter2@h/x token: hunter2\n')
    path = tmp_path / "n1.tar.gz"
    with agent(tmp_path, *[answered(STATUS)] * len(diags.PAGES)):
        ended = felixctl("node", "diags", "-o", str(path), "--log", str(log), "--run-dir", str(tmp_path))
    assert ended.status == 0
    found = files(path)
    assert '"node": "n1"' in found["agent/status.json"]
    assert "felixctl v" in found["about.txt"]
    assert "name: node-2" in found["datastore/Node.yaml"]
    assert "started" in found[f"logs/{str(log).lstrip('/')}"]
    assert "hunter2" not in "".join(found.values())
    assert path.stat().st_mode & 0o077 == 0


def test_what_could_not_be_read_is_listed_and_the_rest_is_there(felixctl: Felixctl, tmp_path: Path) -> None:
    path = tmp_path / "n1.tar.gz"
    ended = felixctl("node", "diags", "-o", str(path), "--run-dir", str(tmp_path), "--log", "/nowhere/a.log")
    assert ended.status == 0
    unread = files(path)["unread.txt"]
    for sentence in ("agent/status.json: read the agent's status", "datastore: open the datastore", "/nowhere/a.log"):
        assert sentence in ended.out
        assert sentence in unread
    ended = felixctl("node", "diags", "-o", str(path), "--run-dir", str(tmp_path))
    assert (ended.status, "File exists" in ended.err) == (1, True)


def test_the_kernels_tables_are_there_without_the_programs_that_list_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the agent's container."""
    monkeypatch.setenv("PATH", str(tmp_path))
    archive = diags.collect(tmp_path, "sqlite:///nowhere/c.db", [], root=tmp_path)
    kernel = {name for name in diags.COMMANDS if name.startswith("kernel/")}
    assert kernel <= archive.files.keys()
    assert "# ip is not installed; this was read without it\n1: lo " in archive.files["kernel/links.txt"]
    assert "logs/journal.txt: journalctl is not installed" in archive.unread


def test_the_last_whole_lines_of_a_long_log_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line that was cut, a secret could be left without its name."""
    monkeypatch.setattr(diags, "LONGEST_LOG", 26)
    (tmp_path / "a.log").write_text("password: hunter2\n  hunter2\n\nnext\nlast\n")
    archive = diags.collect(tmp_path, "sqlite:///nowhere/c.db", [tmp_path / "a.log"], root=tmp_path)
    assert [text for name, text in archive.files.items() if name.endswith("a.log")] == ["next\nlast\n"]


def test_a_record_that_cannot_be_read_is_listed(felixctl: Felixctl, tmp_path: Path) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16"))
    garble(tmp_path, "IPPool", "a", "$.spec.cidr")
    ended = felixctl("node", "diags", "-o", str(tmp_path / "a.tar.gz"), "--run-dir", str(tmp_path))
    assert 'datastore: IPPool "a": spec.cidr' in ended.out


def test_a_kind_that_may_not_be_listed_is_told_and_the_others_are_there(
    felixctl: Felixctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account of an agent may list no CalicoNodeStatus."""
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16") + "---\n" + PEER)
    everything = SqliteStore.list

    async def refusing(self: SqliteStore, what: type[Resource]) -> Listed[Resource]:
        if what is BGPPeer:
            raise Forbidden("list bgppeers: not this account (403)")
        return await everything(self, what)

    monkeypatch.setattr(SqliteStore, "list", refusing)
    ended = felixctl("node", "diags", "-o", str(tmp_path / "a.tar.gz"), "--run-dir", str(tmp_path))
    assert "  datastore: list bgppeers: not this account (403)\n" in ended.out
    found = files(tmp_path / "a.tar.gz")
    assert "datastore/IPPool.yaml" in found and "datastore/BGPPeer.yaml" not in found


def test_the_peers_of_the_cluster_are_in_the_archive(felixctl: Felixctl, tmp_path: Path) -> None:
    felixctl("apply", "-f", "-", stdin=PEER + "  password: {secretKeyRef: {name: bgp, key: tor}}\n")
    felixctl("node", "diags", "-o", str(tmp_path / "a.tar.gz"), "--run-dir", str(tmp_path))
    assert "key: tor" in files(tmp_path / "a.tar.gz")["datastore/BGPPeer.yaml"]


def test_a_folder_of_logs_is_taken_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird" / "current").write_text("a")
    (tmp_path / "felix.log").write_text("b")
    assert diags.logs_in(tmp_path) == [tmp_path / "bird" / "current", tmp_path / "felix.log"]
    assert diags.logs_in(tmp_path / "nothing") == [tmp_path / "nothing"]
