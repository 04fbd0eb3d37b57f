from __future__ import annotations

from pathlib import Path

import pytest

from felixctl.host_settings import take

TEXT = "# of this host\nNODENAME = n1\nFELIX_DATASTORE=sqlite:///srv/c.db # shared\nFELIX_RUN_DIR =\n"


def taken(path: Path, **environment: str) -> dict[str, str]:
    take(environment, path)
    return environment


def test_the_datastore_of_the_agents_file_is_the_commands_too(tmp_path: Path) -> None:
    place = tmp_path / "felix.cfg"
    place.write_text(TEXT)
    assert taken(place) == {"FELIX_DATASTORE": "sqlite:///srv/c.db"}
    assert taken(tmp_path / "none", FELIX_CONFIG=str(place))["FELIX_DATASTORE"] == "sqlite:///srv/c.db"


def test_the_environment_comes_first_and_an_empty_value_counts_as_unset(tmp_path: Path) -> None:
    place = tmp_path / "felix.cfg"
    place.write_text(TEXT)
    assert taken(place, FELIX_DATASTORE="sqlite:///own.db")["FELIX_DATASTORE"] == "sqlite:///own.db"
    assert taken(place, FELIX_DATASTORE="")["FELIX_DATASTORE"] == "sqlite:///srv/c.db"


def test_without_a_file_nothing_is_taken_and_nothing_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert taken(tmp_path / "felix.cfg") == {}
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert taken(tmp_path) == {}
    assert f"read {tmp_path}: Is a directory; FELIX_DATASTORE and FELIX_RUN_DIR" in capsys.readouterr().err
