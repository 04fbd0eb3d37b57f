"""The files that -f names."""

from __future__ import annotations

from pathlib import Path

from tests.felixctl.command import Felixctl
from tests.felixctl.resources.examples import pool


def test_files_and_folders_are_read(felixctl: Felixctl, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "deeper").mkdir(parents=True)
    (folder / "a.yaml").write_text(pool("a", "10.1.0.0/16"))
    (folder / "deeper" / "b.yml").write_text(pool("b", "10.2.0.0/16"))
    (folder / "notes.txt").write_text("no resource")
    assert felixctl("apply", "-f", str(folder)).out == "Successfully applied 1 'IPPool' resource(s)\n"
    assert felixctl("apply", "-R", "-f", str(folder)).out == "Successfully applied 2 'IPPool' resource(s)\n"
    assert "No such file" in felixctl("apply", "-f", str(folder / "c.yaml")).err


def test_text_that_is_not_utf8_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("größe: 1".encode("latin-1"))
    ended = felixctl("apply", "-f", str(tmp_path / "latin.yaml"))
    assert (ended.status, "it is not UTF-8 text" in ended.err) == (1, True)
