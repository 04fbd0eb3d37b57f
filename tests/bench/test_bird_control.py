"""BIRD is found where it is, and one that is not there, or has ended, is not waited for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import bird_control
from bench.bird_control import connect, executable


def test_it_is_found_though_its_folder_is_on_the_path_of_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert executable() == "/usr/sbin/bird"


def test_one_that_is_not_installed_is_a_sentence_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bird_control, "USUAL_FOLDER", str(tmp_path))
    with pytest.raises(SystemExit, match="install bird2"):
        executable()


def test_one_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as ended,
        pytest.raises(SystemExit, match="BIRD ended with status 7"),
    ):
        connect(str(tmp_path / "bird.ctl"), ended)
