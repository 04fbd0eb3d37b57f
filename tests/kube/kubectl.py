"""kubectl on the API server of the tests, and what it makes of the folders with manifests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.kube.assets import program
from tests.kube.bed import Bed

MANIFESTS = Path(__file__).parents[2] / "manifests"


def kubectl(bed: Bed, *arguments: str, text: str | None = None) -> str:
    """Return what kubectl says as the administrator. Raises AssertionError: it failed."""
    return _run("--kubeconfig", str(bed.control_plane.kubeconfig), *arguments, text=text)


def kustomized(folder: Path) -> str:
    """Return what `kubectl kustomize` makes of a folder."""
    return _run("kustomize", str(folder))


def objects_of(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of a YAML text by kind and name."""
    found: Iterable[dict[str, Any]] = (each for each in yaml.safe_load_all(text) if each)
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def _run(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        (str(program("kubectl")), *arguments), input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout
