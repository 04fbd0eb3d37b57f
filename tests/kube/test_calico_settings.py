"""felixctl finds a real API server by what calicoctl's users have set, and so does it say where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from tests.felixctl.command import Felixctl
from tests.kube.bed import Bed
from tests.kube.test_golden import load

CONFIGURATION = (
    "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: kubernetes\n"
)


def two_contexts(bed: Bed, folder: Path) -> str:
    """Return a kubeconfig whose current context leads nowhere, and "bed" to the API server."""
    config = yaml.safe_load(bed.control_plane.kubeconfig.read_text())
    [context] = config["contexts"]
    away = {"name": "away", "cluster": {"server": "http://127.0.0.1:1"}}
    config["clusters"].append(away)
    config["contexts"] = [
        {"name": "bed", "context": context["context"]},
        {"name": "away", "context": {**context["context"], "cluster": "away"}},
    ]
    path = folder / "two contexts"
    path.write_text(yaml.safe_dump({**config, "current-context": "away"}))
    return str(path)


def test_calicoctls_settings_lead_to_the_api_server(
    started_bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(started_bed.empty())
    asyncio.run(load(started_bed))
    kubeconfig, both = str(started_bed.control_plane.kubeconfig), two_contexts(started_bed, tmp_path)
    felixctl = Felixctl("", monkeypatch, capsys)
    monkeypatch.setenv("FELIX_CONFIG", str(tmp_path / "none"))
    file = tmp_path / "calicoctl.cfg"

    def nodes(*arguments: str, **environment: str) -> str:
        with monkeypatch.context() as only:
            for name, value in environment.items():
                only.setenv(name, value)
            ended = felixctl("get", "nodes", "-o", "name", *arguments)
        assert (ended.status, ended.err) == (0, "")
        return ended.out

    expected = nodes(FELIX_DATASTORE=f"kubernetes://{kubeconfig}")
    assert expected.count("\n") == 3
    assert nodes(DATASTORE_TYPE="kubernetes", KUBECONFIG=kubeconfig) == expected
    assert nodes(CALICO_DATASTORE_TYPE="kubernetes", CALICO_KUBECONFIG=kubeconfig) == expected
    assert nodes("--context", "bed", KUBECONFIG=both) == expected
    assert nodes(CALICO_KUBECONFIG=both, K8S_CURRENT_CONTEXT="bed") == expected
    file.write_text(f"{CONFIGURATION}  kubeconfig: {kubeconfig}\n")
    assert nodes("-c", str(file)) == expected
    file.write_text(f"{CONFIGURATION}  kubeconfig: {both}\n")
    assert nodes("--config", str(file), "--context=bed", DATASTORE_TYPE="etcdv3") == expected
    assert "127.0.0.1:1" in felixctl("get", "nodes", "-c", str(file)).err
