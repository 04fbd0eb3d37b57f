"""Policies and what else is stored for others, in a real API server."""

from __future__ import annotations

import asyncio

import pytest

from felixctl.resources import kinds
from tests.felixctl.command import Felixctl
from tests.felixctl.resources.test_stored_kinds import kept_as_written
from tests.kube.bed import Bed


@pytest.mark.parametrize("word", ["gnp", "np", "tier"])
def test_a_stored_kind_is_kept_by_the_api_server_as_it_was_written(
    started_bed: Bed, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(started_bed.make_namespace("default"))
    kept_as_written(
        Felixctl(f"kubernetes://{started_bed.control_plane.kubeconfig}", monkeypatch, capsys), kinds.noun(word)
    )
