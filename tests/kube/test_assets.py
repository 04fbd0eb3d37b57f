"""Where the programs of the test bed are, and which Go compiles them. None is compiled here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kube import assets
from tests.kube.assets import AssetsError


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def go(folder: Path, version: str) -> str:
    """Write a compiler that says that it is of this version, and return it."""
    folder.mkdir(parents=True)
    path = folder / "go"
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return str(path)


def test_a_folder_that_is_named_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    touch(tmp_path, "etcd", "kube-apiserver")
    with pytest.raises(AssetsError, match=f"KUBEBUILDER_ASSETS names {tmp_path}, which lacks kubectl$"):
        assets.build(["api"])
    touch(tmp_path, "kubectl")
    assets.build(["api"])
    assert assets.program("etcd") == tmp_path / "etcd"
    with pytest.raises(AssetsError, match="kubelet does not exist; `make kube-assets` builds it"):
        assets.program("kubelet")


def test_what_is_there_is_not_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    touch(assets.folder(), *assets.GROUPS["api"])
    assets.build(["api"])
    assert tmp_path in assets.program("kubectl").parents


@pytest.mark.parametrize(("version", "is_taken"), [("go1.18.10", False), ("go9.0", True)])
def test_the_machines_go_is_taken_where_it_is_new_enough_and_else_the_one_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, is_taken: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own, kept = go(tmp_path / "own", version), go(assets.cache_folder() / "go" / "bin", "go9.1")
    monkeypatch.setenv("PATH", str(Path(own).parent))
    assert assets._go() == (own if is_taken else kept)


def test_a_group_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert assets.main(["nodes", "window"]) == 2
    assert "no group window; groups: api, nodes, kwok" in capsys.readouterr().err
