"""A settings file that changes while the agent runs."""

from __future__ import annotations

from pathlib import Path

from felix_py.configuration.settings import read_file
from felix_py.configuration.settings_watch import SettingsWatch


def test_a_setting_that_changes_is_a_notice_until_it_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "felix.cfg"

    def named() -> list[str]:
        return [notice.name for notice in watch.notices()]

    file.write_text("FELIX_MTU = 1400\nFELIX_METRIC = 77\n")
    watch = SettingsWatch(lambda: read_file(str(file)), read_file(str(file)))
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
