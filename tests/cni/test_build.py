"""The shim is compiled once, and what is missing for it is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cni.build import build


def test_a_shim_is_built_once_and_its_absence_explained(tmp_path: Path) -> None:
    out = tmp_path / "bin" / "felix"
    assert build(out)
    assert not build(out)
    with pytest.raises(RuntimeError, match="apt install gcc"):
        build(tmp_path / "other", compiler="no-such-compiler")


def test_the_builder_is_a_command(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-m", "cni.build", tmp_path / "felix"], check=False).returncode == 0
    assert (tmp_path / "felix").exists()
    wrong = subprocess.run([sys.executable, "-m", "cni.build"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, "usage" in wrong.stderr) == (2, True)
