"""The shim is compiled once, and what is missing for it is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cni.build import build


def test_a_shim_is_built_once_and_its_absence_explained(tmp_path: Path) -> None:
    out = tmp_path / "bin" / "felix"
    assert build(out)
    assert not build(out)
    with pytest.raises(
        RuntimeError, match="there is no this and no that; install one with: apt install gcc musl-tools"
    ):
        build(tmp_path / "other", compilers=("this", "that"))


def test_one_that_was_built_by_other_means_is_built_anew(tmp_path: Path) -> None:
    out = tmp_path / "felix"
    out.touch()
    os.utime(out, (0, 0))
    assert build(out)
    assert out.stat().st_size > 0


def test_musl_is_taken_where_it_is_there_and_else_glibc(tmp_path: Path) -> None:
    """A static program without glibc is a tenth of one with it."""
    small, large = tmp_path / "small", tmp_path / "large"
    assert build(small) and build(large, compilers=("no-such-compiler", "gcc"))
    assert small.stat().st_size < large.stat().st_size / 5


def test_the_builder_is_a_command(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-m", "cni.build", tmp_path / "felix"], check=False).returncode == 0
    assert (tmp_path / "felix").exists()
    wrong = subprocess.run([sys.executable, "-m", "cni.build"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "usage" in wrong.stderr) == (2, True)
