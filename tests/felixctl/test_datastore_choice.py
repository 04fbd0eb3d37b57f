from __future__ import annotations

from pathlib import Path

import pytest

from felixctl.datastore_choice import GivenBy, RefusedUrl, chosen_url

USUAL = "sqlite:///nowhere/felix.db"


def test_what_is_given_comes_before_calicoctls_settings(capsys: pytest.CaptureFixture[str]) -> None:
    calicos = {"DATASTORE_TYPE": "kubernetes"}
    assert chosen_url(USUAL, GivenBy.OPTION, {}, calicos) == USUAL
    assert capsys.readouterr().err == ""
    assert chosen_url(USUAL, GivenBy.ENVIRONMENT, {}, calicos) == USUAL
    assert "so DATASTORE_TYPE is not obeyed" in capsys.readouterr().err
    assert chosen_url(USUAL, GivenBy.DEFAULT, {}, calicos) == "kubernetes://"


@pytest.mark.parametrize("source", [GivenBy.OPTION, GivenBy.ENVIRONMENT])
def test_what_is_given_takes_the_group_that_calicos_programs_are_told(
    source: GivenBy, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"CALICO_API_GROUP": "projectcalico.org/v3", "DATASTORE_TYPE": "kubernetes"}
    asked = "kubernetes://?group=projectcalico.org/v3"
    assert chosen_url("kubernetes://", source, {}, told) == chosen_url(USUAL, GivenBy.DEFAULT, {}, told) == asked
    assert capsys.readouterr().err == ""
    refused = chosen_url("kubernetes://", source, {}, {"CALICO_API_GROUP": "v1"})
    assert isinstance(refused, RefusedUrl) and "no group of Calico's resources" in str(refused.error)


def test_without_settings_it_is_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_url(USUAL, GivenBy.DEFAULT, {}, {}) == USUAL
    assert chosen_url(USUAL, GivenBy.DEFAULT, {}, {"KUBECONFIG": "/k"}) == USUAL
    assert "KUBECONFIG chooses no datastore" in capsys.readouterr().err


def test_what_cannot_be_chosen_is_refused_where_it_is_opened(tmp_path: Path) -> None:
    refused = chosen_url(USUAL, GivenBy.DEFAULT, {"config": str(tmp_path / "none")}, {})
    assert isinstance(refused, RefusedUrl) and "name another by --config" in str(refused.error)
