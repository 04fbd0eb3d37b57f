"""The files that -f names."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_files_are_read_in_the_encodings_that_editors_write(felixctl: Felixctl, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yaml").write_text(pool("a", "10.1.0.0/16").strip(), encoding=encoding, newline="\r\n")
    assert felixctl("apply", "-f", str(tmp_path)).out == "Successfully applied 1 'IPPool' resource(s)\n"


def test_the_mistakes_of_all_files_are_told(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\na: 2")
    (tmp_path / "b.json").write_text('{"a": 1,,}')
    (tmp_path / "c.yml").write_text("kind: IPPool")
    ended = felixctl("apply", "-f", str(tmp_path), "-f", str(tmp_path / "d.yaml"))
    assert [line.split(",")[0].split(": ")[1] for line in ended.err.splitlines()] == [
        f"read {tmp_path}/a.yaml",
        f"read {tmp_path}/b.json",
        f"read {tmp_path}/d.yaml",
        f"{tmp_path}/c.yml",
        "nothing was written",
    ]


def test_text_that_is_not_utf8_is_a_sentence(felixctl: Felixctl, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("größe: 1".encode("latin-1"))
    ended = felixctl("apply", "-f", str(tmp_path / "latin.yaml"))
    assert (ended.status, "it is not UTF-8 text" in ended.err) == (1, True)


@pytest.mark.parametrize("verb", ["apply", "create", "replace", "delete"])
def test_with_skip_empty_nothing_to_do_is_no_error(felixctl: Felixctl, tmp_path: Path, verb: str) -> None:
    felixctl("apply", "-f", "-", stdin=pool("a", "10.1.0.0/16"))
    assert felixctl(verb, "-f", str(tmp_path)).status == 1
    ended = felixctl(verb, "-f", str(tmp_path), "--skip-empty")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("Successfully ")
