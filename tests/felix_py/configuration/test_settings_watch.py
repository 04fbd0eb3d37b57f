"""A settings file that changes while the agent runs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from felix_py.configuration import settings_watch
from felix_py.configuration.settings import read_file
from felix_py.configuration.settings_watch import SettingsWatch
from kernel import path_watch
from kernel.path_watch import PathWatch
from tests.felix_py.fake_node import FakeNode
from tests.felix_py.fakes import until


def test_a_setting_that_changes_is_a_notice_until_it_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "felix.cfg"

    def named() -> list[str]:
        return [notice.name for notice in watch.notices()]

    file.write_text("FELIX_MTU = 1400\nFELIX_METRIC = 77\n")
    watch = SettingsWatch(file, lambda: read_file(str(file)), read_file(str(file)))
    assert named() == []
    file.write_text("# said otherwise\nFELIX_METRIC=77\nFELIX_MTU=1400\n")
    assert named() == []
    file.write_text("FELIX_MTU = 1300\nFELIX_REPAIR = false\n")
    assert named() == ["FELIX_METRIC", "FELIX_MTU", "FELIX_REPAIR"]
    file.write_text("FELIX_MTU")
    assert named() == ["the settings file"]
    file.unlink()
    assert named() == ["the settings file"]
    file.write_text("FELIX_MTU = 1400\nFELIX_METRIC = 77\n")
    assert named() == []


def mounted(folder: Path, name: str, text: str) -> None:
    """Have a file hold a text as a kubelet does it: in a folder of its own, to which a link leads."""
    before = (folder / "..data").resolve()
    (folder / name).mkdir()
    (folder / name / "felix.cfg").write_text(text)
    (folder / "new").symlink_to(name)
    (folder / "new").rename(folder / "..data")
    if before.is_dir() and before.name != "..data":
        shutil.rmtree(before)


@pytest.mark.parametrize("by_kubelet", [False, True])
async def test_a_change_is_noticed_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_kubelet: bool
) -> None:
    monkeypatch.setattr(path_watch, "REST_SECONDS", 1e9)
    monkeypatch.setattr(settings_watch, "SETTLING_SECONDS", 0.01)
    folder = tmp_path / "etc"
    folder.mkdir()
    file, agent = folder / "felix.cfg", FakeNode(tmp_path).agent
    if by_kubelet:
        file.symlink_to("..data/felix.cfg")

    def write(name: str, text: str) -> None:
        if by_kubelet:
            mounted(folder, name, text)
        else:
            file.write_text(text)

    write("first", "FELIX_MTU = 1400\n")
    file_watch = SettingsWatch(file, lambda: read_file(str(file)), read_file(str(file)))
    with PathWatch() as watch:
        running = asyncio.create_task(file_watch.run(agent, watch))
        await asyncio.sleep(0)
        write("second", "FELIX_MTU = 1300\n")
        await until(lambda: [notice.name for notice in agent.notices.all()] == ["FELIX_MTU"])
        write("third", "FELIX_MTU = 1400\n")
        await until(lambda: agent.notices.all() == ())
        running.cancel()
