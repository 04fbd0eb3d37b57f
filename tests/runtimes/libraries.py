"""What pip fetches for a machine besides ours, kept outside the tree: once for each list of dependencies.

A machine that is given it is installed by the page's own commands as any other: pip finds there what it would fetch,
and builds and installs our packages. To resolve, unpack and compile the others takes 40 s of processor time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.kube.assets import alone, cache_folder
from tests.runtimes.machine import TREE, Machine

ENVIRONMENT = "/opt/felix"
"""Where the page has the virtual environment. The scripts in it name this path."""
OURS = "felix-py"
KEPT = 3
_INPUTS = ("pyproject.toml", "constraints.txt")


def bring(machine: Machine) -> bool:
    """Give a machine what an earlier one has fetched; False if none has."""
    kept, place = _kept(machine), machine.path(ENVIRONMENT)
    with alone(kept.parent):
        if not kept.exists():
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", kept, place], check=True)
        os.utime(kept)
        return True


def keep(machine: Machine) -> None:
    """Keep what an installed machine has fetched, for those to come."""
    kept = _kept(machine)
    with alone(kept.parent):
        with tempfile.TemporaryDirectory(dir=kept.parent) as fresh:
            copy = Path(fresh) / "environment"
            subprocess.run(["cp", "--archive", machine.path(ENVIRONMENT), copy], check=True)
            pip = [str(copy / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "uninstall", "--quiet", "--yes", OURS], check=True)
            shutil.rmtree(kept, ignore_errors=True)
            copy.rename(kept)
        os.utime(kept)
        folders = sorted((one for one in kept.parent.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)
        for old in folders[:-KEPT]:
            shutil.rmtree(old)


def _kept(machine: Machine) -> Path:
    """Return where an environment for these dependencies and the machine's Python is kept."""
    place = cache_folder() / "libraries"
    place.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(machine.run("python3", "-VV").encode())
    for name in _INPUTS:
        digest.update((TREE / name).read_bytes())
    return place / digest.hexdigest()[:16]
