"""What is compiled from Go modules for these tests, with versions that go.mod and this file fix."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.runtimes.machine import TREE

BUILT = TREE / "build" / "runtimes"
LIBCNI = Path(__file__).with_name("libcni")
CNITOOL = "github.com/containernetworking/cni/cnitool"  # in the version of libcni's go.mod
CONTAINERD = "github.com/containerd/containerd/v2/cmd/"
CONTAINERD_VERSION = "v2.4.2"
GO_VERSION = "1.26.8"
OLDEST_THAT_FETCHES = (1, 21)
"""From this version on, Go fetches by itself the version that a module asks for."""


@cache
def libcni() -> list[Path]:
    """Return the client of libcni, and cnitool."""
    made = [BUILT / "libcni", BUILT / "cnitool"]
    for place, package in zip(made, (".", CNITOOL), strict=True):
        _go("build", "-trimpath", "-o", str(place), package, folder=LIBCNI)
    return made


def containerd() -> list[Path]:
    """Return containerd 2 and what it starts; the first time, this takes minutes."""
    names = ["containerd", "containerd-shim-runc-v2", "ctr"]
    if not all((BUILT / name).exists() for name in names):
        packages = [f"{CONTAINERD}{name}@{CONTAINERD_VERSION}" for name in names]
        _go("install", "-trimpath", "-tags", "no_btrfs no_devmapper no_zfs", *packages, folder=BUILT)
    return [BUILT / name for name in names]


def _go(*arguments: str, folder: Path) -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(BUILT), "GOTOOLCHAIN": f"go{GO_VERSION}+auto"}
    ran = subprocess.run(
        [_command(), *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"go {' '.join(arguments)} in {folder}: {ran.stderr}"


@cache
def _command() -> str:
    """Return a Go that can build: this machine's, else one that it fetches, as a module, by its checksum."""
    found = shutil.which("go")
    assert found is not None, "there is no go; install it with: apt-get install golang-go"
    version = re.search(r"go(\d+)\.(\d+)", subprocess.check_output([found, "version"], text=True))
    assert version is not None
    if (int(version[1]), int(version[2])) >= OLDEST_THAT_FETCHES:
        return found
    system = subprocess.check_output([found, "env", "GOOS", "GOARCH"], text=True).split()
    module = f"golang.org/toolchain@v0.0.1-go{GO_VERSION}.{'-'.join(system)}"
    fetched = json.loads(subprocess.check_output([found, "mod", "download", "-json", module], text=True, cwd="/"))
    toolchain = Path(fetched["Dir"])
    for file in (*toolchain.glob("bin/*"), *toolchain.glob("pkg/tool/*/*")):
        file.chmod(0o755)  # modules carry no permissions
    return str(toolchain / "bin" / "go")
