"""The shim comes onto a host whole or not at all, whatever is there and whoever runs it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cni import installer
from cni.installer import install_shim, main


@pytest.fixture
def folder(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's folder, as the container of the image has it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(installer, "SHIM", shim)
    monkeypatch.setenv("FELIX_CNIBINDIR", str(folder))
    return folder


def answers(place: Path) -> bool:
    ended = subprocess.run([place], env={"CNI_COMMAND": "VERSION"}, stdin=subprocess.DEVNULL, capture_output=True)
    return ended.returncode == 0 and b"supportedVersions" in ended.stdout


def test_a_shim_is_replaced_while_it_is_being_run(shim: Path, tmp_path: Path) -> None:
    place = tmp_path / "bin" / "felix"
    assert install_shim(shim, place.parent)
    running = subprocess.Popen([place], env={"CNI_COMMAND": "ADD"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    newer = tmp_path / "newer"
    newer.write_bytes(shim.read_bytes() + b"newer")
    assert install_shim(newer, place.parent)
    assert place.read_bytes() == newer.read_bytes()
    running.communicate(b"{}")
    assert answers(place)


def a_link_to_another_plugin(place: Path) -> None:
    (place.parent / "bridge").write_text("another plugin")
    place.symlink_to("bridge")


def a_link_to_nothing(place: Path) -> None:
    place.symlink_to("gone")


def a_file_that_nobody_may_run(place: Path) -> None:
    place.write_bytes(installer.SHIM.read_bytes())
    place.chmod(0o644)


def an_older_shim(place: Path) -> None:
    place.write_text("older")


@pytest.mark.parametrize(
    "before", [a_link_to_another_plugin, a_link_to_nothing, a_file_that_nobody_may_run, an_older_shim]
)
def test_whatever_was_there_is_replaced_and_nothing_else(folder: Path, before: Callable[[Path], None]) -> None:
    place = folder / "felix"
    before(place)
    assert main([]) == 0
    assert (place.is_symlink(), place.stat().st_mode & 0o7777, answers(place)) == (False, 0o755, True)
    if (folder / "bridge").exists():
        assert (folder / "bridge").read_text() == "another plugin"


def test_a_shim_that_is_there_is_not_written_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    first = (folder / "felix").stat()
    assert main([]) == 0
    assert (folder / "felix").stat().st_ino == first.st_ino
    assert "it was there already" in capsys.readouterr().out


def test_what_a_killed_installer_left_is_removed(folder: Path) -> None:
    (folder / ".felix.x1y2z3").write_text("half")
    assert main([]) == 0
    assert os.listdir(folder) == ["felix"]


def test_installers_of_two_versions_leave_a_whole_shim(shim: Path, tmp_path: Path) -> None:
    folder, shims = tmp_path / "bin", [tmp_path / "one", tmp_path / "two"]
    for number, one in enumerate(shims):
        one.write_bytes(shim.read_bytes() + bytes([number]))
    failed: list[BaseException] = []

    def install(source: Path) -> None:
        try:
            for _ in range(20):
                install_shim(source, folder)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=install, args=(one,)) for one in shims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert (folder / "felix").read_bytes() in [one.read_bytes() for one in shims]
    assert os.listdir(folder) == ["felix"]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.EROFS, "FELIX_CNIBINDIR"),
        (errno.ENOSPC, "make room"),
        (errno.EACCES, "DAC_OVERRIDE"),
        (errno.EPERM, "chattr"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence_with_its_cure(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, cure: str
) -> None:
    def refuse(source: Path, folder: Path) -> bool:
        raise OSError(code, os.strerror(code), str(folder))

    monkeypatch.setattr(installer, "install_shim", refuse)
    assert main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder / "felix") in line
    assert os.strerror(code) in line
    assert cure in line


def test_a_folder_of_our_plugins_name_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "felix").mkdir()
    assert main([]) == 1
    assert "remove it on the host" in capsys.readouterr().err
    assert os.listdir(folder) == ["felix"]


def test_a_folder_that_is_not_mounted_is_not_made(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FELIX_CNIBINDIR", str(folder / "elsewhere"))
    assert main([]) == 1
    assert "mount the host's there" in capsys.readouterr().err
    assert os.listdir(folder) == []


def test_a_group_is_let_into_a_folder_once_the_shim_is_there(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shared := tmp_path / "shared").mkdir(mode=0o700)
    options = [f"--shared-folder={shared}", f"--group={os.getgid()}"]
    assert main(options) == 0
    assert answers(folder / "felix")
    assert shared.stat().st_mode & 0o777 == 0o770
    shutil.rmtree(shared)
    assert main(options) == 1
    assert f"into {shared}: " in capsys.readouterr().err


def test_a_shim_of_another_processor_is_not_installed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF of another machine")
    foreign.chmod(0o755)
    monkeypatch.setattr(installer, "SHIM", foreign)
    assert main([]) == 1
    assert os.uname().machine in capsys.readouterr().err
    assert os.listdir(folder) == []
