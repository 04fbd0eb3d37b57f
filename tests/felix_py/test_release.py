"""Which release is installed."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from felix_py.release import installed_release


def test_it_is_the_installed_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed_release() == version("felix-py")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ModuleNotFoundError):
        installed_release()


def test_the_first_folder_of_the_path_that_has_a_distribution_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/felix_py-2.0.dist-info", "a/felix_py_more-7.dist-info", "b/felix_py-3.0+x.dist-info"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr("sys.path", [str(tmp_path / "missing"), str(tmp_path / "b"), str(tmp_path / "a")])
    assert installed_release() == "3.0+x"
