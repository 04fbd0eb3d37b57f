"""The controller's process; what it does on a real API server is in tests/kube/test_controller.py."""

from __future__ import annotations

import pytest

from controller.__main__ import main


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("FELIX_DATASTORE", "sqlite:////tmp/none.db", "no controller is needed"),
        ("FELIX_CONTROLLERPORT", "many", "use a number from 0 to 65535"),
        ("FELIX_CONFIG", "/nowhere/felix.cfg", "No such file"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_it_with_one_sentence(
    variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FELIX_DATASTORE", "kubernetes://")
    monkeypatch.setenv(variable, value)
    assert main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line and line.endswith("; the controller does not start")
